#!/bin/sh
# Finds the Debian packages that this checkout needs and this machine lacks, and installs them.
#
#   tools.sh PYTHON          what makes a virtual environment of PYTHON; nothing if PYTHON is empty
#   tools.sh PYTHON tests    also the servers, browser and clients that the tests start
#   tools.sh PYTHON clients  also the languages of the clients that only `make clients` calls
#
# Does nothing, in a fraction of a second, if nothing is missing. Installs with apt as root or with passwordless sudo;
# otherwise it prints the command and fails. No package's service is started. A test sets TOOLS_ROOT to look for
# folders elsewhere than below /.
set -eu

root=${TOOLS_ROOT:-}
missing=

fail() {
    echo "make: $1" >&2
    exit 1
}

need() { # need PACKAGE TEST…: the package is missing unless the test succeeds
    package=$1
    shift
    "$@" || missing="$missing $package"
}

has() { # has PROGRAM…: every program is on the path
    for program; do
        command -v "$program" >/dev/null 2>&1 || return 1
    done
}

has_postgresql() {
    has initdb pg_ctl && return
    for program in "$root"/usr/lib/postgresql/*/bin/initdb; do
        [ -x "$program" ] && return
    done
}

# Debian keeps these two where only root's path leads.
has_ip() { has ip || [ -x "$root/usr/sbin/ip" ]; }
has_dnsmasq() { has dnsmasq || [ -x "$root/usr/sbin/dnsmasq" ]; }

has_alertmanager() { has amtool && { has alertmanager || has prometheus-alertmanager; }; }

# Debian ships the modules that make virtual environments in a package of their own; other builds of Python have them.
find_missing_for_python() {
    case $(command -v "$1") in
        "$root"/usr/bin/*) need "$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')" \
            "$1" -c 'import importlib.util as util, sys; sys.exit(not util.find_spec("ensurepip"))' ;;
    esac
}

find_missing_for_tests() {
    need postgresql has_postgresql
    # Node.js brings npm if it is the vendor's package, which conflicts with Debian's npm.
    need nodejs has node
    need npm has npm
    need golang-go has go
    need golang-google-api-dev test -d "$root/usr/share/gocode/src/google.golang.org/api"
    need chromium has chromium
    need fonts-dejavu-core test -d "$root/usr/share/fonts/truetype/dejavu"
    need prometheus has prometheus promtool
    need prometheus-alertmanager has_alertmanager
    need caddy has caddy
    need dnsmasq-base has_dnsmasq
    need iproute2 has_ip
    need curl has curl
    need openssl has openssl
}

find_missing_for_clients() {
    need default-jdk-headless has java keytool
    need libgoogle-api-client-java test -e "$root/usr/share/java/google-api-client.jar"
    need ruby-google-api-client test -d "$root/usr/share/doc/ruby-google-api-client"
    need ruby-activesupport test -d "$root/usr/share/doc/ruby-activesupport"
    need php-cli has php
    need php-curl test -d "$root/usr/share/doc/php-curl"
    need php-guzzlehttp-guzzle test -d "$root/usr/share/php/GuzzleHttp"
    need r-base-core has Rscript
    need r-cran-httr test -d "$root/usr/lib/R/site-library/httr"
}

# Runs as root. A policy that refuses every start is what Debian provides against services that start by themselves.
# shellcheck disable=SC2016  expanded by the shell that runs it
install='
set -eu
root=$1 policy=$1/usr/sbin/policy-rc.d
shift
if [ ! -e "$policy" ]; then
    trap "rm -f \"$policy\"" EXIT
    printf "#!/bin/sh\nexit 101\n" >"$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "$@" >/dev/null
for package; do systemctl disable --quiet "$package" 2>/dev/null || true; done
'

case $#:${2:-tests} in
    [12]:tests | 2:clients) ;;
    *) fail "usage: infra/local/tools.sh PYTHON [tests | clients]" ;;
esac
[ -z "$1" ] || find_missing_for_python "$1"
[ $# = 1 ] || find_missing_for_tests
[ "${2:-}" != clients ] || find_missing_for_clients
[ -n "$missing" ] || exit 0
missing=${missing# }

has apt-get || fail "These Debian packages, or what this system calls them, are needed and missing: $missing. Install \
them, then run make again."
if [ "$(id -u)" = 0 ]; then
    as_root=
elif has sudo && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    fail "Programs that are needed are missing. Install them, then run make again:

  sudo apt-get install --no-install-recommends $missing
"
fi
echo "Installing $missing …"
# shellcheck disable=SC2086  words
$as_root sh -c "$install" sh "$root" $missing \
    || fail "Installing $missing failed; the lines above name the reason. Check the network and apt's sources."
