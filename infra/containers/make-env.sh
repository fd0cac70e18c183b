#!/bin/sh
# Writes the container stack's settings with new passwords, or adds those that an older file lacks.
#
#   make-env.sh FILE [NAME…]     NAMEs get new values
#
# COMPOSE_PROJECT_NAME: the stack's name, which is added too if the file lacks it.
set -eu

file=$1
shift
renewed=" $* "
# Only the owner may read it, and it appears at once, complete.
umask 077
# Behind a symbolic link.
target=$(readlink -f "$file")
partial=$target.partial
trap 'rm -f "$partial"' EXIT
trap 'exit 1' HUP INT TERM
old=$file
[ -e "$file" ] || old=/dev/null

password() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# The last line may have no end.
while IFS= read -r line || [ -n "$line" ]; do
    name=${line%%=*}
    case $line in
        [A-Z]*=*) case $renewed in *" $name "*) line=$name=$(password) ;; esac ;;
    esac
    printf '%s\n' "$line"
done <"$old" >"$partial"
while IFS= read -r line; do
    name=${line%%=*}
    case $line in
        *=change-me | COMPOSE_PROJECT_NAME=*)
            grep -q "^$name=" "$old" && continue
            case $name in
                COMPOSE_PROJECT_NAME) line=$name=${COMPOSE_PROJECT_NAME:-${line#*=}} ;;
                *) line=$name=$(password) ;;
            esac
            [ "$old" = /dev/null ] || echo "Added $name to $file." >&2
            ;;
        *) [ "$old" = /dev/null ] || continue ;;
    esac
    printf '%s\n' "$line"
done <.env.example >>"$partial"
if cmp -s "$partial" "$old"; then rm "$partial"; else mv "$partial" "$target"; fi
[ "$old" = "$file" ] || echo "Wrote $file, with new passwords."
