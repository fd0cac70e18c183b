#!/bin/sh
# Removes what `make` and the tools generated. Asks before it removes var/, whose local registries hold a user's models.
set -eu

rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .viz
find libs services infra tests -type d \( -name __pycache__ -o -name '*.egg-info' \) -prune -exec rm -rf {} +

[ -d var ] || exit 0
printf 'Remove var/ as well, with every model registered there? [y/N] '
read -r answer || answer=
case $answer in
    y | Y | yes) rm -rf var ;;
    *) echo 'var/ stays.' ;;
esac
