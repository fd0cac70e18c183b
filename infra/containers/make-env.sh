#!/bin/sh
# Writes the container stack's settings with new passwords, unless the file exists.
#
#   make-env.sh FILE
set -eu

file=$1
[ ! -e "$file" ] || exit 0

# Only the owner may read it, and it appears at once, complete.
umask 077
partial=$file.partial
while IFS= read -r line; do
    case $line in
        *=change-me) echo "${line%%=*}=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')" ;;
        *) echo "$line" ;;
    esac
done <.env.example >"$partial"
mv "$partial" "$file"
echo "Wrote $file, with new passwords."
