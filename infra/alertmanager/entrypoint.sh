#!/bin/sh
# Writes Alertmanager's effective configuration, which can't read the environment itself, and starts it.
#
#   entrypoint.sh [ARGUMENTS OF alertmanager …]
#   entrypoint.sh render        writes the configuration only, and prints its folder
#
# ALERTMANAGER_TRAINING_URL: the training service's route; http://127.0.0.1:8002/alerts by default.
# TRAINING_ALERT_TOKEN: its token, the same as there; without one no alert starts a training.
# ALERTMANAGER_NOTICES_URL: notices.py, which logs notifications, and passes them on as text.
# ALERTMANAGER_SLACK_URL, ALERTMANAGER_TEAMS_URL: webhooks of a channel, which get readable text.
# ALERTMANAGER_WEBHOOK_URL: a webhook that takes Alertmanager's own JSON, such as a pager's.
# ALERTMANAGER_WEBHOOK_TOKEN: a bearer token for it, if it takes one.
#
# Of these, each is optional. Those that are unset are read from files of the same name.
#
# ALERTMANAGER_SECRETS_DIR: the folder of these files; /run/secrets by default, where Compose mounts secrets.
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

# VARIABLE VALUE: prints the value, or if it is empty, the content of the variable's file.
setting() {
    if [ -n "$2" ]; then printf '%s' "$2"
    elif [ -s "$secrets/$1" ]; then cat "$secrets/$1"
    fi
}

# FIELD VARIABLE URL: the first line of a receiver's entry, with a checked address. An error names the variable only,
# because the address of a webhook is a secret.
write_address() {
    case $3 in
        *"
"*) fail "a line break stands in $2; it holds one address." ;;
        http://* | https://*) ;;
        *) fail "$2 must begin with https:// (or http://)." ;;
    esac
    printf "      - %s: '%s'\n" "$1" "$(printf '%s' "$3" | sed "s/'/''/g")"
}

# NAME TOKEN: the lines of an entry that sends a bearer token, if there is one.
write_token() {
    [ -n "$2" ] || return 0
    printf '%s' "$2" >"$run/$1-token"
    printf '        http_config:\n          authorization:\n            credentials_file: %s\n' "$1-token"
}

# FIELD VARIABLE URL: an entry of a chat, with readable text.
write_chat() {
    write_address "$1" "$2" "$3"
    printf "        send_resolved: true\n        title: '%s'\n        text: '%s'\n" \
        '{{ template "toxic.title" . }}' '{{ template "toxic.text" . }}'
}

here=$(cd "$(dirname "$0")" && pwd -P)
run=${ALERTMANAGER_RUN_DIR:-$(mktemp -d)}
mkdir -p "$run"
rm -f "$run/training-token" "$run/people-token"
secrets=${ALERTMANAGER_SECRETS_DIR:-/run/secrets}
token=$(setting TRAINING_ALERT_TOKEN "${TRAINING_ALERT_TOKEN:-}")
webhook=$(setting ALERTMANAGER_WEBHOOK_URL "${ALERTMANAGER_WEBHOOK_URL:-}")
webhook_token=$(setting ALERTMANAGER_WEBHOOK_TOKEN "${ALERTMANAGER_WEBHOOK_TOKEN:-}")
slack=$(setting ALERTMANAGER_SLACK_URL "${ALERTMANAGER_SLACK_URL:-}")
teams=$(setting ALERTMANAGER_TEAMS_URL "${ALERTMANAGER_TEAMS_URL:-}")
training=${token:+${ALERTMANAGER_TRAINING_URL:-http://127.0.0.1:8002/alerts}}
{
    sed '/^receivers:/,$d' "$here/alertmanager.yml"
    printf "templates: ['%s']\n" "$here/notification.tmpl"
    printf 'receivers:\n  - name: training\n'
    if [ -n "$training" ]; then
        echo "    webhook_configs:"
        write_address url ALERTMANAGER_TRAINING_URL "$training"
        write_token training "$token"
    fi
    echo "  - name: people"
    [ -z "${ALERTMANAGER_NOTICES_URL:-}$webhook" ] || echo "    webhook_configs:"
    [ -z "${ALERTMANAGER_NOTICES_URL:-}" ] || write_address url ALERTMANAGER_NOTICES_URL "$ALERTMANAGER_NOTICES_URL"
    if [ -n "$webhook" ]; then
        write_address url ALERTMANAGER_WEBHOOK_URL "$webhook"
        write_token people "$webhook_token"
    fi
    if [ -n "$slack" ]; then
        echo "    slack_configs:"
        write_chat api_url ALERTMANAGER_SLACK_URL "$slack"
    fi
    if [ -n "$teams" ]; then
        echo "    msteamsv2_configs:"
        write_chat webhook_url ALERTMANAGER_TEAMS_URL "$teams"
    fi
} >"$run/.alertmanager.yml"
mv "$run/.alertmanager.yml" "$run/alertmanager.yml"

if [ "${1:-}" = render ]; then
    echo "$run"
    exit
fi
binary=${ALERTMANAGER_BINARY:-$(command -v alertmanager || command -v prometheus-alertmanager || true)}
[ -n "$binary" ] || fail "no alertmanager is installed (Debian: apt install prometheus-alertmanager)."
exec "$binary" --config.file="$run/alertmanager.yml" "$@"
