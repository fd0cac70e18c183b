# Gives each service a database role of its own, with the rights that it needs. PostgreSQL's image sources this when it
# makes a new volume. Run by bash again, it sets the passwords, and moves an older stack's corrections to inference.
#
# POSTGRES_USER: a superuser, postgres by default; of a volume that release 0.1 made, registry.
# REGISTRY_DB_PASSWORD: of the role registry, which owns the database of that name.
# INFERENCE_DB_PASSWORD: of the role inference, which owns a schema in it and reads no other; no such role if unset.
#
# If a password is unset, it is read from the file that its variable with _FILE names, as for PostgreSQL's image.
(
    set -eu
    password() {
        local file=$1_FILE
        if [ -n "${!1:-}" ]; then echo "${!1}"; elif [ -s "${!file:-}" ]; then cat "${!file}"; fi
    }
    roles() { psql --username="${POSTGRES_USER:-postgres}" --no-psqlrc --quiet --set=ON_ERROR_STOP=1 "$@"; }

    # By the environment: the list of processes, the host's too, shows arguments.
    registry=$(password REGISTRY_DB_PASSWORD) inference=$(password INFERENCE_DB_PASSWORD)
    password=${registry:?REGISTRY_DB_PASSWORD is unset} roles --dbname=postgres <<'SQL'
\getenv password password
SELECT 'CREATE ROLE registry LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'registry') \gexec
ALTER ROLE registry PASSWORD :'password';
SELECT 'CREATE DATABASE registry OWNER registry'
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'registry') \gexec
REVOKE ALL ON DATABASE registry FROM PUBLIC;
SQL

    if [ -n "$inference" ]; then
        password=$inference roles --dbname=registry <<'SQL'
\getenv password password
SELECT 'CREATE ROLE inference LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'inference') \gexec
ALTER ROLE inference PASSWORD :'password';
GRANT CONNECT ON DATABASE registry TO inference;
CREATE SCHEMA IF NOT EXISTS inference AUTHORIZATION inference;
SELECT format('ALTER TABLE public.%I OWNER TO inference', tablename),
       format('ALTER TABLE public.%I SET SCHEMA inference', tablename)
    FROM pg_tables
    WHERE schemaname = 'public' AND tablename IN
        ('correction', 'correction_label', 'correction_secret', 'review_item', 'review_opinion', 'feedback') \gexec
SQL
    fi
)
