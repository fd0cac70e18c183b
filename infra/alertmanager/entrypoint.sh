#!/bin/sh
# Writes Alertmanager's effective configuration, which can't read the environment itself, and starts it.
#
#   entrypoint.sh [ARGUMENTS OF alertmanager …]
#   entrypoint.sh render        writes the configuration only, and prints its folder
#
# ALERTMANAGER_TRAINING_URL: the training service's route; http://127.0.0.1:8002/alerts by default.
# TRAINING_ALERT_TOKEN: its token, the same as there; without one no alert starts a training.
# ALERTMANAGER_WEBHOOK_URL: who else is told, such as a chat's or a pager's webhook; nobody by default.
# ALERTMANAGER_WEBHOOK_TOKEN: a bearer token for it, if it takes one.
# ALERTMANAGER_RUN_DIR: where to write; a new temporary folder by default.
# ALERTMANAGER_BINARY: the program; alertmanager, or Debian's prometheus-alertmanager, by default.
#
# What is written is for its owner alone (0600), and each token is in a file of its own.
set -eu
umask 077

fail() {
    echo "alertmanager: $1" >&2
    exit 2
}

# RECEIVER VARIABLE URL TOKEN: tells nobody where the address is empty.
write_receiver() {
    echo "  - name: $1"
    [ -n "$3" ] || return 0
    case $3 in
        *"
"*) fail "a line break stands in $2; it holds one address." ;;
        http://* | https://*) ;;
        *) fail "$2 is '$3'; it begins with https:// (or http://)." ;;
    esac
    printf "    webhook_configs:\n      - url: '%s'\n" "$(printf '%s' "$3" | sed "s/'/''/g")"
    [ -n "$4" ] || return 0
    printf '%s' "$4" >"$run/$1-token"
    printf '        http_config:\n          authorization:\n            credentials_file: %s\n' "$1-token"
}

here=$(cd "$(dirname "$0")" && pwd -P)
run=${ALERTMANAGER_RUN_DIR:-$(mktemp -d)}
mkdir -p "$run"
rm -f "$run/training-token" "$run/people-token"
token=${TRAINING_ALERT_TOKEN:-}
training=${token:+${ALERTMANAGER_TRAINING_URL:-http://127.0.0.1:8002/alerts}}
{
    sed '/^receivers:/,$d' "$here/alertmanager.yml"
    echo "receivers:"
    write_receiver training ALERTMANAGER_TRAINING_URL "$training" "$token"
    write_receiver people ALERTMANAGER_WEBHOOK_URL "${ALERTMANAGER_WEBHOOK_URL:-}" "${ALERTMANAGER_WEBHOOK_TOKEN:-}"
} >"$run/.alertmanager.yml"
mv "$run/.alertmanager.yml" "$run/alertmanager.yml"

if [ "${1:-}" = render ]; then
    echo "$run"
    exit
fi
binary=${ALERTMANAGER_BINARY:-$(command -v alertmanager || command -v prometheus-alertmanager || true)}
[ -n "$binary" ] || fail "no alertmanager is installed (Debian: apt install prometheus-alertmanager)."
exec "$binary" --config.file="$run/alertmanager.yml" "$@"
