# The stack's backups; a part of `stack`, which sources it.
#
# A backup has what a new machine needs but the passwords: those are in .env, which is kept elsewhere, or replaced by
# `stack rotate`.
# shellcheck shell=bash

# The database first: every version in it already has its files, and files never change. A run that is registered
# meanwhile adds others, for which GNU tar ends with 1; after an error, it ends with 2.
do_backup() {
    local folder=${1:?which folder?} partial shared source
    need_running postgres registry
    [ ! -e "$folder" ] || fail "$folder is there already; name a new folder, such as make backup TO=backups/monday."
    partial=$(dirname "$folder")/.$(basename "$folder").partial
    # shellcheck disable=SC2064 # expanded now, because it is local
    trap "rm -rf $(printf %q "$partial")" EXIT
    rm -rf "$partial" && mkdir -p "$partial" && chmod 700 "$partial"
    make_data_folder  # training's containers mount it
    step "back up the registry's database"
    compose exec -T postgres pg_dump --username=registry --format=custom --exclude-schema=inference registry \
        >"$partial/registry.dump"
    step "back up the registry's artifacts and its own evaluations"
    compose exec -T registry sh -c '
        table=${REGISTRY_TEST_TABLE#"$PWD"/}
        case $table in /*) table= ;; esac
        [ -f "$table" ] || table=
        mkdir -p artifacts evaluations && touch trusted-keys
        tar -cf - artifacts evaluations trusted-keys ${table:+"$table"} || [ $? = 1 ]' >"$partial/artifacts.tar"
    # In containers of their own: a service that doesn't run, or restarts again and again, has data too.
    if has_data inference inference-state; then
        step "back up the API keys"
        compose run --rm --no-deps -T inference sh -c '[ ! -f "$1" ] || cat "$1"' sh "$(keys_file)" >"$partial/keys.txt"
        step "back up the communities' policies"
        compose run --rm --no-deps -T inference sh -c '
            file=${INFERENCE_POLICIES_FILE#"$PWD"/}
            case $file in /*) file= ;; esac
            [ ! -f "$file" ] || tar -cf - "$file"' >"$partial/policies.tar"
        step "back up the moderators' corrections"
        compose run --rm --no-deps -T inference python -c "$COPY_SQLITE" /var/lib/toxic/state/feedback.db \
            >"$partial/feedback.db"
    fi
    # Whether or not a replica runs now: a restore replaces the database.
    shared=$(first_shared_table)
    [ -z "$shared" ] || compose exec -T postgres pg_dump --username=inference --format=custom \
        --table='inference.*' registry >"$partial/corrections.dump"
    if has_data training training-data; then
        step "back up training's key and history"
        compose run --rm --no-deps -T training sh -c '
            mkdir -p "$TRAINING_STATE_DIR" || exit
            tar -C "$TRAINING_STATE_DIR" -cf - . || [ $? = 1 ]' >"$partial/training.tar"
    fi
    if has_data grafana grafana-data; then
        step "back up Grafana's database"
        source=$(container grafana --all || true)
        if [ -n "$source" ]; then source=--volumes-from=$source
        else source=--volume=${COMPOSE_PROJECT_NAME}_grafana-data:/var/lib/grafana
        fi
        # Its image has no program for that; user and volume are its own.
        docker run --rm --network=none --user=472:0 "$source" toxic-registry \
            python -c "$COPY_SQLITE" /var/lib/grafana/grafana.db >"$partial/grafana.db"
    fi
    (cd "$partial" && sha256sum -- * >SHA256SUMS)
    mv "$partial" "$folder"
    say "The backup is in $folder ($(du -sh "$folder" | cut -f1)). It has no passwords: keep a copy of $env_file elsewhere."
    [ -z "${KEEP:-}" ] || remove_old_backups "$(dirname "$folder")"
}

# SERVICE VOLUME: whether the stack has ever had the service.
has_data() {
    [ -n "$(container "$1" --all || true)" ] \
        || docker volume inspect "${COMPOSE_PROJECT_NAME}_$2" >/dev/null 2>&1
}

# A copy of a database file may be inconsistent during writes; SQLite's backup is a consistent snapshot.
COPY_SQLITE='
import pathlib, shutil, sqlite3, sys, tempfile
source = pathlib.Path(sys.argv[1])
with tempfile.NamedTemporaryFile() as copy:
    if source.exists():
        with sqlite3.connect(source) as old, sqlite3.connect(copy.name) as new:
            old.backup(new)
    shutil.copyfileobj(copy, sys.stdout.buffer)
'

first_shared_table() {
    compose exec -T postgres psql --username="$(superuser)" --dbname=registry --tuples-only --no-align --command="
        SELECT tablename FROM pg_tables WHERE schemaname = 'inference' LIMIT 1"
}

# Keeps the newest $KEEP backups of a folder; a folder without a dump of the registry is none.
remove_old_backups() {
    local dump
    case $KEEP in "" | *[!0-9]* | 0) fail "KEEP is $KEEP; it is the number of backups to keep." ;; esac
    # shellcheck disable=SC2012 # by time, which find can't sort by on every system
    ls -1td "$1"/*/registry.dump | tail -n "+$((KEEP + 1))" | while IFS= read -r dump; do
        rm -rf "${dump%/registry.dump}"
        say "Removed the old backup ${dump%/registry.dump}."
    done
}

# Unpacks everything beside the current data and swaps only if all of it is complete.
do_restore() {
    local folder=${1:?which folder?} missing
    [ -f "$folder/SHA256SUMS" ] || fail "$folder is no backup: it has no SHA256SUMS."
    (cd "$folder" && sha256sum --check --quiet SHA256SUMS) || fail "$folder is damaged; see the lines above."
    need_engine
    need_secrets
    infra/containers/make-env.sh "$env_file"
    need_keys
    need_shared_state
    [ -n "${YES:-}" ] || agreed "Replace the registry, its models and the corrections by those of $folder?" \
        || fail "Nothing was changed."
    make_data_folder
    open_mounted_files
    docker image inspect toxic-registry toxic-training toxic-comment-endpoint >/dev/null 2>&1 || build
    [ -s "$folder/keys.txt" ] || need_keys_file
    write_secrets
    make_roles
    step "stop what writes"
    compose stop inference training registry
    ! runs inference-2 || compose stop inference-2
    ! runs grafana || compose stop grafana
    step "unpack"
    sql 'DROP DATABASE IF EXISTS registry_restored' 'CREATE DATABASE registry_restored OWNER registry' \
        'REVOKE ALL ON DATABASE registry_restored FROM PUBLIC'
    compose exec -T postgres pg_restore --username=registry --dbname=registry_restored --no-owner --exit-on-error \
        <"$folder/registry.dump"
    compose run --rm --no-deps -T registry \
        sh -c 'rm -rf restored && mkdir restored && tar -C restored -xf -' <"$folder/artifacts.tar"
    step "put it in place"
    sql 'DROP DATABASE IF EXISTS registry_before' 'ALTER DATABASE registry RENAME TO registry_before' \
        'ALTER DATABASE registry_restored RENAME TO registry'
    compose run --rm --no-deps -T registry \
        sh -c 'rm -rf before; [ ! -d artifacts ] || mv artifacts before; mv restored/artifacts . || exit
            touch trusted-keys restored/trusted-keys && sort -u trusted-keys restored/trusted-keys >restored/both || exit
            mv restored/both trusted-keys && rm restored/trusted-keys && cp -R restored/. . || exit
            rm -rf restored before ledger-head.json' # the restored ledger may be older
    make_roles # with inference's schema in the new database
    [ ! -s "$folder/corrections.dump" ] || compose exec -T postgres pg_restore --username=inference --dbname=registry \
        --no-owner --exit-on-error <"$folder/corrections.dump"
    sql 'DROP DATABASE registry_before'
    put_file inference /var/lib/toxic/state/feedback.db "$folder/feedback.db"
    put_file inference "$(keys_file)" "$folder/keys.txt"
    [ ! -s "$folder/policies.tar" ] || compose run --rm --no-deps -T inference sh -c 'tar -xf -' <"$folder/policies.tar"
    [ ! -s "$folder/training.tar" ] || compose run --rm --no-deps -T training \
        sh -c 'mkdir -p "$TRAINING_STATE_DIR" && tar -C "$TRAINING_STATE_DIR" -xf -' <"$folder/training.tar"
    missing=$(unavailable)
    case " $(echo $missing) " in *" grafana "*) ;; *) put_file grafana /var/lib/grafana/grafana.db "$folder/grafana.db" ;; esac
    trust_training
    # Without an image that can't be had, the others start.
    # shellcheck disable=SC2046,SC2086 # one word per service
    start ${missing:+$(rest_of "$missing")}
    [ ! -s "$folder/grafana.db" ] || set_grafana_password
    [ -z "$missing" ] || say "Left out, because their images can't be had: $(echo $missing)."
    print_addresses
    say "Restored from $folder; its champion, version $(champion), answers."
}

# SERVICE PATH FILE: writes a file of a backup into the service's volume; leaves it if the backup has none.
put_file() {
    [ ! -s "$3" ] || compose run --rm --no-deps -T --entrypoint=sh "$1" -c '
        umask 077 && mkdir -p "${1%/*}" && cat >"$1.restored" && rm -f "$1-wal" "$1-shm" && mv "$1.restored" "$1"' sh "$2" <"$3"
}
