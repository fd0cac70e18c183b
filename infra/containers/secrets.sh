# The stack's secrets as files; a part of `stack`, which sources it.
#
# docker-compose.yml mounts them from a folder beside the settings, $env_file.secrets, which only its owner can open.
# The files in it are readable by all, because each container reads its own as another user.
# shellcheck shell=bash disable=SC2154 # env_file is of stack

# Writes the folder from the settings; a file with the same content stays. Each service's digests change with its
# secrets, so that Compose recreates the containers that use a new one. In a subshell, for a trap of its own.
write_secrets() (
    local folder=$env_file.secrets LC_ALL=C new service names name value digests file
    new=$folder.partial
    for name in $(passwords); do
        [ -n "$(setting "$name" "")" ] || fail "$name is missing in $env_file; make up adds one that has no line."
    done
    for name in REGISTRY_PASSWORD REGISTRY_TRAINING_PASSWORD REGISTRY_INFERENCE_PASSWORD; do
        [[ $(setting "$name" "") != *,* ]] || fail "$name in $env_file has a comma, which ends it in the registry's list of \
users. Choose a password without one."
    done
    trap 'rm -rf "$new"' EXIT
    rm -rf "$new"
    mkdir -m 700 "$new"
    while read -r service names; do
        digests=
        for name in $names; do
            value=$(secret "$name")
            printf '%s' "$value" >"$new/$name"
            [ -z "$value" ] || digests=$digests${digests:+,}$name:$(digest "$name" "$value")
        done
        echo "TOXIC_SECRET_DIGESTS=$digests" >"$new/$service.env"
    done < <(mounted)
    chmod 644 "$new"/*
    [ -d "$folder" ] || mkdir -m 700 "$folder"
    chmod 700 "$folder"
    # In the order of C: capitals first, so that digests change last.
    for file in "$new"/*; do
        cmp -s "$file" "$folder/${file##*/}" || mv "$file" "$folder/"
    done
)

# Whether the folder has every file that docker-compose.yml names.
have_secrets() {
    local service names name
    while read -r service names; do
        for name in "$service.env" $names; do
            [ -e "$env_file.secrets/$name" ] || return 1
        done
    done < <(mounted)
}

# Prints each service of docker-compose.yml that mounts secrets, with their names.
mounted() {
    awk '
        function done() { if (names) print service names; names = "" }
        /^[^ ]/ { done(); services = $1 == "services:" }
        services && /^  [^ #]/ { done(); service = $1; sub(":", "", service); listed = 0 }
        services && /^    [^ #]/ { listed = $1 == "secrets:" }
        services && listed && $1 == "-" { gsub(/[{},]/, " "); names = names " " ($2 == "source:" ? $3 : $2) }
        END { done() }' docker-compose.yml
}

# Prints the value of a secret: a setting, or what is made of several.
secret() {
    case $1 in
        REGISTRY_BACKEND_STORE_URI)
            echo "postgresql+psycopg://registry:$(encoded POSTGRES_PASSWORD)@postgres/registry" ;;
        # .env puts the password into the address by name.
        INFERENCE_FEEDBACK_URL) INFERENCE_DB_PASSWORD=$(encoded INFERENCE_DB_PASSWORD) setting "$1" "" ;;
        REGISTRY_USERS)
            printf '%s:%s override,training:%s writer,inference:%s reader,%s\n' "$(setting REGISTRY_USER admin)" \
                "$(setting REGISTRY_PASSWORD "")" "$(setting REGISTRY_TRAINING_PASSWORD "")" \
                "$(setting REGISTRY_INFERENCE_PASSWORD "")" "$(setting REGISTRY_MORE_USERS "")" ;;
        *) setting "$1" "" ;;
    esac
}

# NAME: prints a password as a part of an address.
encoded() {
    local value
    value=$(setting "$1" "")
    if [[ $value == *[!A-Za-z0-9._~-]* ]]; then
        printf '%s' "$value" | od -An -v -tx1 | tr -d ' \n' | sed 's/../%&/g'
    else
        printf '%s' "$value"
    fi
}

# NAME VALUE: prints the digest of a secret. The superuser's random password is hashed with it: containers show their
# digests, and without it, a short password that a person chose could be guessed from one.
digest() { printf '%s\n' "$(setting POSTGRES_ADMIN_PASSWORD "")" "$1" "$2" | sha256sum | cut -c1-16; }

# Prints the passwords that make-env.sh makes.
passwords() { sed -n 's/=change-me$//p' .env.example; }
