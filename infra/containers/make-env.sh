#!/bin/sh
# Writes the container stack's settings with new passwords, or adds those that an older file lacks.
#
#   make-env.sh FILE
set -eu

file=$1
# Only the owner may read it, and it appears at once, complete.
umask 077
# Behind a symbolic link.
target=$(readlink -f "$file")
partial=$target.partial
old=$file
[ -e "$file" ] || old=/dev/null
cat "$old" >"$partial"
# The last line may have no end.
[ -z "$(tail -c 1 "$partial")" ] || echo >>"$partial"
while IFS= read -r line; do
    name=${line%%=*}
    case $line in
        *=change-me)
            grep -q "^$name=" "$old" && continue
            line=$name=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
            [ "$old" = /dev/null ] || echo "Added $name to $file." >&2
            ;;
        *) [ "$old" = /dev/null ] || continue ;;
    esac
    echo "$line"
done <.env.example >>"$partial"
if cmp -s "$partial" "$old"; then rm "$partial"; else mv "$partial" "$target"; fi
[ "$old" = "$file" ] || echo "Wrote $file, with new passwords."
