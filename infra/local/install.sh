#!/bin/sh
# Makes the virtual environment and installs a requirements file into it, at the versions of constraints.txt.
#
#   install.sh PYTHON VENV REQUIREMENTS     (run in the repository's root, as the Makefile does)
#
# Every expected failure ends with one line that names the remedy.
set -eu

python=$1 venv=$2 requirements=$3
needed_mib=5120

fail() {
    echo "make: $1" >&2
    exit 1
}

can_reach_index() {
    "$venv/bin/python" -m uv pip install --python "$venv/bin/python" --quiet --dry-run --no-cache --no-deps \
        --reinstall pip >/dev/null 2>&1
}

fail_to_install() {
    can_reach_index || fail "Can't reach the package index; check the network, any proxy, PIP_INDEX_URL and \
UV_OFFLINE, then run make again."
    fail "Installing $requirements failed; the lines above name the reason."
}

make_environment() {
    free_mib=$(df -Pk . | awk 'NR == 2 { print int($4 / 1024) }')
    [ "$free_mib" -ge "$needed_mib" ] || fail "The packages need $needed_mib MiB, and this disk has $free_mib \
MiB free; make room."
    "$python" -c 'import ensurepip, venv' 2>/dev/null || fail "$python can't make virtual environments: its \
module ensurepip is missing. Install it, or name another interpreter: make PYTHON=/path/to/python3.11."
    echo "Making $venv with $("$python" --version) …"
    rm -rf "$venv"
    "$python" -m venv "$venv"
}

[ -n "$python" ] || fail "Python 3.11, 3.12 or 3.13 is needed and none was found; install one, or name it: \
make PYTHON=/path/to/python3.11."
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null \
    || fail "$python isn't Python 3.11, 3.12 or 3.13; name one: make PYTHON=/path/to/python3.11."

# A virtual environment holds its own path, so one that came with a copy of the tree is made again.
here=$(pwd -P)
[ -x "$venv/bin/python" ] && [ "$(cat "$venv/.home" 2>/dev/null || echo "$here")" = "$here" ] || make_environment

if ! "$venv/bin/python" -m uv --version >/dev/null 2>&1; then
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --retries 2 uv 2>"$venv/uv.log" \
        || fail "Can't reach the package index; check the network, any proxy, PIP_INDEX_URL and PIP_NO_INDEX, \
then run make again (pip's output is in $venv/uv.log)."
fi
echo "$here" >"$venv/.home"

# An index that pip is configured for holds for uv as well.
index=${PIP_INDEX_URL:-$("$venv/bin/python" -m pip config get global.index-url 2>/dev/null || true)}
[ -z "$index" ] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"

echo "Installing $requirements …"
"$venv/bin/python" -m uv pip install --python "$venv/bin/python" -r "$requirements" -c constraints.txt \
    || fail_to_install
