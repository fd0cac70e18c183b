#!/bin/sh
# Writes Prometheus's effective configuration, which can't read the environment itself, and starts Prometheus.
#
#   entrypoint.sh [ARGUMENTS OF prometheus …]
#   entrypoint.sh render        writes the configuration only, and prints its folder
#
# PROMETHEUS_SCRAPE_INFERENCE, _REGISTRY, _TRAINING, _SELF, and PROMETHEUS_ALERTMANAGER: addresses, host:port,
#     comma-separated; an empty one is not scraped. Each has the address on one machine for a default.
# PROMETHEUS_REMOTE_WRITE_URL: a hosted Prometheus to send everything to; none by default.
# PROMETHEUS_REMOTE_WRITE_USER, PROMETHEUS_REMOTE_WRITE_TOKEN: for it; a token without a user is a bearer token.
# PROMETHEUS_SECRETS_DIR: has the token in a file of that name, if the variable is unset; /run/secrets by default, where
#     Compose mounts secrets.
# RUNBOOK_BASE_URL: the address at which people read the folder docs/, such as https://git.example/toxic/docs; the
#     runbook_url of every alert begins with it. Without one it is a path in the repository.
# PROMETHEUS_RUN_DIR: where to write; a new temporary folder by default.
# PROMETHEUS_BINARY: the program; prometheus by default.
#
# What is written is for its owner alone (0600), and the token is in a file of its own.
set -eu
umask 077

fail() {
    echo "prometheus: $1" >&2
    exit 2
}

# A YAML scalar that means what stands in it, whatever that is.
quoted() {
    case $1 in
        *"
"*) fail "a line break stands in $2; it holds one line." ;;
    esac
    printf "'%s'" "$(printf '%s' "$1" | sed "s/'/''/g")"
}

# NAME VARIABLE ADDRESSES
write_targets() {
    case $3 in
        *[!A-Za-z0-9.:,_-]*) fail "$2 is '$3'; it holds addresses such as inference:8001, comma-separated." ;;
    esac
    list=$(printf '%s' "$3" | tr -s ',' '\n' | sed "/^\$/d; s/.*/'&'/" | paste -s -d, -)
    if [ -n "$list" ]; then
        echo "- targets: [$list]" >"$run/targets/$1.yml"
    else
        echo "[]" >"$run/targets/$1.yml"
    fi
}

write_remote_write() {
    url=${PROMETHEUS_REMOTE_WRITE_URL:-} user=${PROMETHEUS_REMOTE_WRITE_USER:-}
    token=${PROMETHEUS_REMOTE_WRITE_TOKEN:-}
    file=${PROMETHEUS_SECRETS_DIR:-/run/secrets}/PROMETHEUS_REMOTE_WRITE_TOKEN
    [ -n "$token" ] || [ ! -s "$file" ] || token=$(cat "$file")
    if [ -z "$url" ]; then
        [ -z "$user$token" ] || fail "PROMETHEUS_REMOTE_WRITE_USER or _TOKEN is set, but not _URL; set it, or neither."
        return
    fi
    case $url in
        http://* | https://*) ;;
        # Without the address, which may have a password.
        *) fail "PROMETHEUS_REMOTE_WRITE_URL must begin with https:// (or http://)." ;;
    esac
    [ -z "$user" ] || [ -n "$token" ] || fail "PROMETHEUS_REMOTE_WRITE_USER is set, but not _TOKEN; set both."
    url=$(quoted "$url" PROMETHEUS_REMOTE_WRITE_URL)
    quoted_user=$(quoted "$user" PROMETHEUS_REMOTE_WRITE_USER)
    printf '\nremote_write:\n  - url: %s\n' "$url"
    [ -n "$token" ] || return 0
    printf '%s' "$token" >"$run/remote-write-token"
    if [ -n "$user" ]; then
        printf '    basic_auth:\n      username: %s\n      password_file: remote-write-token\n' "$quoted_user"
    else
        printf '    authorization:\n      credentials_file: remote-write-token\n'
    fi
}

# The address without a user or a token, which no notification may show.
write_rules() {
    cp "$here/rules/"*.yml "$run/rules/"
    [ -n "${RUNBOOK_BASE_URL:-}" ] || return 0
    case $RUNBOOK_BASE_URL in
        http://* | https://*) ;;
        *) fail "RUNBOOK_BASE_URL begins with https:// (or http://)." ;;
    esac
    base=$(printf '%s' "$RUNBOOK_BASE_URL" | sed 's|^\([a-z]*://\)[^/?#]*@|\1|; s|/*$||')
    case $base in
        *[!A-Za-z0-9._~:/%+=,@-]*) fail "RUNBOOK_BASE_URL is no address of a folder; write special characters as %XX." ;;
    esac
    for file in "$run/rules/"*.yml; do
        sed "s|runbook_url: docs/|runbook_url: $base/|" "$file" >"$file.partial"
        mv "$file.partial" "$file"
    done
}

here=$(cd "$(dirname "$0")" && pwd -P)
run=${PROMETHEUS_RUN_DIR:-$(mktemp -d)}
mkdir -p "$run/targets" "$run/rules"
rm -f "$run/rules/"*.yml "$run/remote-write-token"
write_rules
write_targets inference PROMETHEUS_SCRAPE_INFERENCE "${PROMETHEUS_SCRAPE_INFERENCE-127.0.0.1:8001}"
write_targets registry PROMETHEUS_SCRAPE_REGISTRY "${PROMETHEUS_SCRAPE_REGISTRY-127.0.0.1:5000}"
write_targets training PROMETHEUS_SCRAPE_TRAINING "${PROMETHEUS_SCRAPE_TRAINING-127.0.0.1:8002}"
write_targets prometheus PROMETHEUS_SCRAPE_SELF "${PROMETHEUS_SCRAPE_SELF-127.0.0.1:9090}"
write_targets alertmanager PROMETHEUS_ALERTMANAGER "${PROMETHEUS_ALERTMANAGER-127.0.0.1:9093}"
write_remote_write >"$run/.remote-write"
cat "$here/prometheus.yml" "$run/.remote-write" >"$run/.prometheus.yml"
rm "$run/.remote-write"
mv "$run/.prometheus.yml" "$run/prometheus.yml"

if [ "${1:-}" = render ]; then
    echo "$run"
    exit
fi
exec "${PROMETHEUS_BINARY:-prometheus}" --config.file="$run/prometheus.yml" "$@"
