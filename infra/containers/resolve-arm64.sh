#!/bin/sh
# Resolves the pinned wheels of every image for arm64, and fails if one doesn't exist there. Downloads and builds none.
#
#   resolve-arm64.sh PYTHON     (of an environment that has uv)
#
# Images are based on bookworm, which has glibc 2.36, and have no compiler.
set -eu

python=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
sed -n 's/^tensorflow==/tensorflow-cpu==/p' constraints.txt >"$folder/cpu-constraints.txt"

resolve() { # resolve PACKAGE[:EXTRA]…
    "$python" infra/containers/requirements.py "$@" >"$folder/requirements.in"
    "$python" -m uv pip compile --quiet --no-header --no-annotate --only-binary :all: \
        --python-version 3.11 --python-platform aarch64-manylinux_2_36 \
        -c constraints.txt -c "$folder/cpu-constraints.txt" -o "$folder/wheels.txt" "$folder/requirements.in"
    echo "$*: $(wc -l <"$folder/wheels.txt") wheels"
}

sed -n 's/^RUN .*install-dependencies.sh //p' Dockerfile | while read -r packages; do
    for extra in '' tensorflow; do
        # shellcheck disable=SC2046 # a list of packages
        resolve $(echo "$packages" | sed "s/\$EXTRA/$extra/")
        case $packages in *\$EXTRA) ;; *) break ;; esac
    done
done
