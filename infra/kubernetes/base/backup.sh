#!/bin/sh
# Writes a backup of the registry's database, with the corrections in it, and of the registry's files to a new folder
# below /backups, and removes the oldest ones.
#
# PGHOST, PGUSER, PGPASSWORD: the database, as a role that reads every schema.
# BACKUPS_KEPT: number of backups that stay.
# REGISTRY_FILES, BACKUPS: folders, for tests; /var/lib/registry and /backups by default.
set -eu
umask 077
backups=${BACKUPS:-/backups}
partial=$backups/.partial
trap 'rm -rf "$partial"' EXIT
trap 'exit 1' HUP INT TERM
rm -rf "$partial"
mkdir -p "$partial"
# The database first: every version in it already has its files, and files never change. A run that is registered
# meanwhile adds others, for which GNU tar ends with 1; after an error, it ends with 2.
pg_dump --format=custom --file="$partial/registry.dump" registry
cd "${REGISTRY_FILES:-/var/lib/registry}"
mkdir -p "$partial/empty/artifacts" "$partial/empty/evaluations"
# shellcheck disable=SC2046  names without spaces
tar -cf "$partial/artifacts.tar" $(for name in artifacts evaluations trusted-keys; do [ ! -e "$name" ] || echo "$name"; done) \
    -C "$partial/empty" . || [ $? = 1 ]
rm -r "$partial/empty"
(cd "$partial" && sha256sum -- * >SHA256SUMS)
folder=$backups/$(date -u +%Y-%m-%dT%H%M%SZ)
mv "$partial" "$folder"
echo "The backup is in $folder."
find "$backups" -mindepth 1 -maxdepth 1 -name '2*Z' | sort -r | tail -n "+$((BACKUPS_KEPT + 1))" | xargs -r rm -rf
