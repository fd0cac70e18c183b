"""The script of the stack, infra/containers/stack, with stand-ins for Docker and Compose."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import cast

import pytest
import yaml
from sqlalchemy.engine import make_url

from toxic_testing.compose import (
    COMPOSE,
    COMPOUND_SECRETS,
    CONTAINERS,
    EXAMPLE,
    ROOT,
    compose_services,
    secrets_of,
)
from toxic_testing.registry import PostgresServer

Stack = Callable[..., subprocess.CompletedProcess[str]]


def _make_env(file: Path) -> None:
    subprocess.run([str(CONTAINERS / "make-env.sh"), str(file)], cwd=ROOT, check=True, capture_output=True)


def test_new_settings_get_passwords_of_their_own_that_only_the_owner_reads(tmp_path: Path) -> None:
    """Two machines never share one, and neither do two services."""
    one, other = tmp_path / "one", tmp_path / "other"
    _make_env(one)
    _make_env(other)
    lines = one.read_text(encoding="utf-8"), other.read_text(encoding="utf-8")
    passwords = [value for text in lines for value in re.findall(r"(?m)^\w+=([0-9a-f]{48})$", text)]
    assert len(set(passwords)) == 2 * EXAMPLE.read_text(encoding="utf-8").count("=change-me")
    assert "=change-me" not in lines[0]
    assert one.stat().st_mode & 0o777 == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"one", "other"}


@pytest.mark.parametrize("end", ["", "\n"])
def test_settings_that_are_there_stay_and_passwords_that_are_missing_are_added(
    tmp_path: Path, end: str
) -> None:
    """Passwords that a database was made with aren't replaced; a second run has no effect."""
    file = tmp_path / "env"
    file.write_text(f"# mine\nPOSTGRES_PASSWORD=mine\nTOXIC_BIND=0.0.0.0{end}", encoding="utf-8")
    _make_env(file)
    first = file.read_text(encoding="utf-8")
    kept, added = first.splitlines()[:3], dict(line.split("=") for line in first.splitlines()[3:])
    assert kept == ["# mine", "POSTGRES_PASSWORD=mine", "TOXIC_BIND=0.0.0.0"]
    secrets = re.findall(r"(?m)^(\w+)=change-me$", EXAMPLE.read_text(encoding="utf-8"))
    assert added.pop("COMPOSE_PROJECT_NAME") == "toxic"
    assert list(added) == [name for name in secrets if name != "POSTGRES_PASSWORD"]
    assert all(re.fullmatch("[0-9a-f]{48}", value) for value in added.values())
    assert file.stat().st_mode & 0o777 == 0o600
    link = tmp_path / "link"
    link.symlink_to(file)
    before = file.stat().st_ino
    _make_env(link)
    assert link.is_symlink()
    assert (file.stat().st_ino, file.read_text(encoding="utf-8")) == (before, first)


@pytest.mark.hostile(32)
def test_every_service_signs_in_to_the_registry_as_itself(stack: Stack, tmp_path: Path) -> None:
    """With the least role; no container has the password of another, the registry aside."""
    settings = {
        "REGISTRY_USER": "ann",
        "REGISTRY_PASSWORD": "one",
        "REGISTRY_TRAINING_PASSWORD": "two",
        "REGISTRY_INFERENCE_PASSWORD": "three",
        "REGISTRY_MORE_USERS": "bob:four promoter",
    }
    assert stack("up", INFERENCE_API_KEYS_FILE="", **settings).returncode == 0
    assert (tmp_path / "env.secrets" / "REGISTRY_USERS").read_text(encoding="utf-8") == (
        "ann:one override,training:two writer,inference:three reader,bob:four promoter"
    )
    for name in compose_services():
        read = {source for source in secrets_of(name).values() if source.startswith("REGISTRY_")}
        if name != "registry":
            user = name.removesuffix("-2")
            own = {f"REGISTRY_{user.upper()}_PASSWORD"} if user in {"training", "inference"} else set()
            assert read == own, name


OPTIONAL_SECRETS = {
    "INFERENCE_FEEDBACK_URL": "postgresql://inference:${INFERENCE_DB_PASSWORD}@postgres/registry",
    "TRAINING_FEEDBACK_KEY": "the-key-of-training",
    "PROMETHEUS_REMOTE_WRITE_TOKEN": "the-token-of-a-host",
    "ALERTMANAGER_SLACK_URL": "https://chat.example/the-hook",
    "ALERTMANAGER_WEBHOOK_TOKEN": "the-token-of-a-pager",
    "OTEL_EXPORTER_OTLP_HEADERS": "authorization=the-token-of-a-collector",
}


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize(
    ("files", "added"),
    [
        ("docker-compose.yml", set()),
        ("docker-compose.yml:infra/perspective-drop-in/docker-compose.yml", {"perspective", "dns"}),
    ],
)
def test_compose_renders_no_secret_and_finds_every_file(
    stack: Stack, tmp_path: Path, files: str, added: set[str]
) -> None:
    """What Compose passes to Docker; the settings and the folder of secrets are read as by `make up`."""
    docker = shutil.which("docker")
    version = [docker or "", "compose", "version"]
    if docker is None or subprocess.run(version, check=False, capture_output=True).returncode:
        pytest.skip("needs Docker's compose plugin")
    with (tmp_path / "env").open("a", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in OPTIONAL_SECRETS.items())
    assert stack("up").returncode == 0
    settings = (tmp_path / "env").read_text(encoding="utf-8")
    environment = {"PATH": "/usr/bin:/bin", "TOXIC_SECRETS_DIR": str(tmp_path / "env.secrets")}
    environment |= {"TOXIC_DATA_DIR": "mine", "COMPOSE_FILE": files, "COMPOSE_PROFILES": "replicas,dns"}
    options = ["--env-file", str(tmp_path / "env"), "config"]
    command = [docker, "compose", *options]
    rendered = subprocess.run(
        command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    ).stdout
    assert not {word for word in re.findall(r"[0-9a-f]{48}|the-[\w-]+", settings) if word in rendered}
    found = yaml.safe_load(rendered)
    assert found["services"].keys() == compose_services().keys() | added
    secrets = {name: Path(secret["file"]) for name, secret in found["secrets"].items()}
    assert all(file.stat().st_size for name, file in secrets.items() if name in OPTIONAL_SECRETS)
    raw = [each["source"] for each in found["services"]["training"]["volumes"] if each["type"] == "bind"]
    assert raw == [str(ROOT / "mine" / "01_raw")], "a folder, and no volume"
    feedback = secrets["INFERENCE_FEEDBACK_URL"].read_text(encoding="utf-8")
    assert re.fullmatch("postgresql://inference:[0-9a-f]{48}@postgres/registry", feedback)


def _psql(folder: Path) -> None:
    """Put a psql there that keeps what it gets: arguments, the variable `password`, and statements."""
    script = '#!/bin/sh\n{ echo "$*"; echo "password is $password"; cat; } >>"$PSQL_CALLS"\n'
    (folder / "psql").write_text(script, encoding="utf-8")
    (folder / "psql").chmod(0o755)


@pytest.mark.parametrize("variables", [("REGISTRY_DB_PASSWORD", "INFERENCE_DB_PASSWORD"), ()])
def test_database_roles_get_passwords_from_the_environment_or_files(
    tmp_path: Path, variables: tuple[str, ...]
) -> None:
    """Kubernetes sets variables, and Compose mounts files. Arguments, which `ps` lists, have none."""
    _psql(tmp_path)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PSQL_CALLS": str(tmp_path / "calls")}
    for name in ("REGISTRY_DB_PASSWORD", "INFERENCE_DB_PASSWORD"):
        (tmp_path / name).write_text(f"file of {name}", encoding="utf-8")
        environment |= {f"{name}_FILE": str(tmp_path / name)} if name not in variables else {name: "variable"}
    script = ROOT / "infra" / "kubernetes" / "base" / "database-roles.sh"
    subprocess.run(["bash", str(script)], env=environment, check=True, capture_output=True)
    calls = (tmp_path / "calls").read_text(encoding="utf-8")
    given = re.findall(r"password is (.*)\n\\getenv password password\n", calls)
    files = ["file of REGISTRY_DB_PASSWORD", "file of INFERENCE_DB_PASSWORD"]
    assert given == (["variable", "variable"] if variables else files)


def test_a_command_that_the_stack_does_not_know_prints_those_it_does() -> None:
    """A misspelt action is an error."""
    told = subprocess.run([str(CONTAINERS / "stack"), "upp"], check=False, capture_output=True, text=True)
    assert told.returncode == 1
    assert "stack restore FOLDER" in told.stderr


def test_a_damaged_backup_is_refused_before_anything_stops(tmp_path: Path) -> None:
    """Checked against its own digests first."""
    (tmp_path / "registry.dump").write_bytes(b"half")
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  registry.dump\n", encoding="utf-8")
    command = [str(CONTAINERS / "stack"), "restore", str(tmp_path)]
    told = subprocess.run(command, check=False, capture_output=True, text=True)
    assert told.returncode == 1
    assert "is damaged" in told.stderr


FAKE_COMPOSE = """#!/bin/sh
# Runs what is for a container's shell in the folder of that service; stands for the rest.
for file in "$2" "$TOXIC_SECRETS_DIR/grafana.env"; do
    [ -e "$file" ] || { echo "env file $file not found" >&2; exit 14; }
done
shift 2
echo "compose $*" >>"$FACTS/calls"
echo "$TOXIC_DATA_DIR" >"$FACTS/data"
[ -z "$COMPOSE_FILE" ] || echo "$COMPOSE_FILE" >"$FACTS/files"
case $1 in
    exec) shift ;;
    run)
        shift
        case " $* " in
            *" training "*) [ -d "$TOXIC_DATA_DIR/01_raw" ] || { echo "no bind source" >&2; exit 1; } ;;
        esac ;;
    config) [ "$2" != --services ] || exec cat "$FACTS/services"; exec cat "$FACTS/config" ;;
    pull) echo "no route to the registry" >&2; exit 1 ;;
    logs) echo "the log of $3"; exit ;;
    *) exit 0 ;;
esac
while [ "${1#-}" != "$1" ]; do shift; done
if [ -n "$PGHOST" ]; then
    case $1.$2 in
        postgres.psql | postgres.pg_*) shift && exec "$@" ;;
        postgres.env) exec env "$3" bash "$DATABASE_ROLES" ;;
    esac
fi
cd "$VOLUMES/$1" 2>/dev/null && shift || exit 0
case $1 in sh | test) exec "$@" ;; -c) exec sh "$@" ;; esac
"""
FAKE_DOCKER = """#!/bin/sh
# A container's id is its service's name. Files of $FACTS have the volumes, and what runs, is ill, has no
# health check or is missing.
echo "docker $*" >>"$FACTS/calls"
for last; do :; done
case $1 in
    volume) case $2.$last in
        inspect.*) grep -qx "$last" "$FACTS/stored" ;;
        *"=$(cat "$FACTS/volumes")") echo volume ;;
    esac ;;
    image) ! grep -qx "$last" "$FACTS/missing" ;;
    inspect) case $* in
        *Config.Env*) cat "$FACTS/environment" ;;
        *)
            if grep -qx "$last" "$FACTS/ill"; then echo unhealthy
            elif ! grep -qx "$last" "$FACTS/unchecked"; then echo healthy
            else case $* in *'{{if .State.Health}}'*) echo running ;; *) exit 1 ;; esac
            fi ;;
    esac ;;
    ps) case $* in
        *compose.service=*) grep -x "${last##*=}" "$FACTS/running" ;;
        *) cat "$FACTS/running" ;;
    esac ;;
esac
"""


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    """Return the folder of what the fakes know: everything runs and is healthy."""
    folder = tmp_path / "facts"
    folder.mkdir()
    running = [name for name, service in compose_services().items() if "profiles" not in service]
    lists = {"volumes": ["none"], "missing": [], "ill": [], "unchecked": []}
    lists |= {"running": running, "services": list(compose_services())}
    lists["stored"] = [f"toxic_{name}" for name in yaml.safe_load(COMPOSE)["volumes"]]
    for name, lines in lists.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    (folder / "environment").touch()
    (folder / "config").write_text(yaml.safe_dump(yaml.safe_load(COMPOSE)), encoding="utf-8")
    return folder


@pytest.fixture
def stack(tmp_path: Path, facts: Path) -> Stack:
    """Return the function that runs a command of the stack without Docker; volumes are folders."""
    (tmp_path / "docker").write_text(FAKE_DOCKER, encoding="utf-8")
    (tmp_path / "compose").write_text(FAKE_COMPOSE, encoding="utf-8")
    for program in ("docker", "compose"):
        (tmp_path / program).chmod(0o755)
    for service in ("registry", "inference", "training", "grafana"):
        (tmp_path / "volumes" / service).mkdir(parents=True, exist_ok=True)

    def run(
        *arguments: str, program: str = "", answer: str = "", **chosen: str
    ) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{tmp_path}:/usr/bin:/bin",
            "COMPOSE": str(tmp_path / "compose"),
            "FACTS": str(facts),
            "VOLUMES": str(tmp_path / "volumes"),
            "TOXIC_ENV_FILE": str(tmp_path / "env"),
            "TOXIC_DATA_DIR": str(tmp_path / "data"),
            "TOXIC_WAIT_SECONDS": "0",
            "TRAINING_STATE_DIR": str(tmp_path / "volumes" / "training" / "state"),
            "INFERENCE_API_KEYS_FILE": str(tmp_path / "volumes" / "inference" / "keys.txt"),
            "REGISTRY_TEST_TABLE": str(tmp_path / "volumes" / "registry" / "sealed.csv"),
            "YES": "1",
            **chosen,
        }
        command = [program or str(CONTAINERS / "stack"), *arguments]
        return subprocess.run(
            command, env=environment, input=answer, check=False, capture_output=True, text=True
        )

    return run


@pytest.fixture
def ready(tmp_path: Path) -> None:
    """A stack that could start: with its settings and its file of keys."""
    _make_env(tmp_path / "env")
    (tmp_path / "volumes" / "inference").mkdir(parents=True, exist_ok=True)
    (tmp_path / "volumes" / "inference" / "keys.txt").touch()


def _changes(facts: Path) -> list[str]:
    """Return the calls that change a container, a volume or an image."""
    calls = (facts / "calls").read_text(encoding="utf-8").splitlines()
    return [
        call
        for call in calls
        if re.match(r"compose (up|run|exec|build|stop|down|pull)|docker (run|rm)", call)
    ]


def _checkout(folder: Path) -> Path:
    """Copy what the script needs of the repository to a folder, and return that."""
    shutil.copytree(ROOT / "infra", folder / "infra", ignore=shutil.ignore_patterns("certificates"))
    for file in ("docker-compose.yml", ".env.example"):
        shutil.copy(ROOT / file, folder)
    return folder


@pytest.mark.parametrize("command", ["up", "restore"])
@pytest.mark.parametrize("volumes", ["toxic", "toxic-comments"])
def test_a_lost_env_file_takes_no_stack_down(
    stack: Stack, facts: Path, tmp_path: Path, command: str, volumes: str
) -> None:
    """Volumes without the file of their passwords: nothing is changed, and three ways on are named."""
    (facts / "volumes").write_text(f"{volumes}\n", encoding="utf-8")
    (tmp_path / "SHA256SUMS").write_text(f"{sha256().hexdigest()}  registry.dump\n", encoding="utf-8")
    (tmp_path / "registry.dump").touch()
    # In a copy, which has the repository's usual name.
    copy = _checkout(tmp_path / "toxic-comments")
    told = stack(command, str(tmp_path), program=str(copy / "infra" / "containers" / "stack"))
    assert told.returncode == 1
    assert f"The volumes of the stack {volumes} exist" in told.stderr
    assert "Bring the file back" in told.stderr
    assert f"COMPOSE_PROJECT_NAME={volumes} make rotate" in told.stderr
    assert _changes(facts) == []
    assert not (tmp_path / "env").exists()


@pytest.mark.usefixtures("ready")
def test_a_start_lets_the_containers_read_what_they_mount(stack: Stack, facts: Path, tmp_path: Path) -> None:
    """A checkout may be its owner's only. If a file can't be opened, it is named before any change."""
    copy = _checkout(tmp_path / "copy")
    mounted = {file for service in compose_services() for file in _mounted_files(copy, service)}
    mounted.add(copy / "infra" / "perspective-drop-in" / "Caddyfile")
    assert {copy / "infra" / name for name in ("prometheus", "alertmanager")} < mounted
    with (tmp_path / "env").open("a", encoding="utf-8") as settings:
        settings.write("COMPOSE_FILE=docker-compose.yml:infra/perspective-drop-in/docker-compose.yml\n")
    files = {*mounted, *(file for folder in mounted for file in folder.rglob("*"))}
    for file in sorted(files, reverse=True):
        file.chmod(file.stat().st_mode & ~0o077)
    program = str(copy / "infra" / "containers" / "stack")
    (tmp_path / "chmod").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    (tmp_path / "chmod").chmod(0o755)
    refused = stack("up", program=program)
    assert refused.returncode == 1
    assert "run: chmod -R a+rX ./infra/" in refused.stderr
    assert _changes(facts) == []
    (tmp_path / "chmod").unlink()
    # The key's own folder is its owner's only.
    certificates = copy / "infra" / "perspective-drop-in" / "certificates"
    certificates.mkdir()
    (certificates / "server.key").touch(0o600)
    (certificates / "server.crt").touch()
    refused = stack("up", program=program)
    assert refused.returncode == 1
    folder = "./infra/perspective-drop-in/certificates"
    assert f"chmod 700 {folder} && chmod 644 {folder}/server.key" in refused.stderr
    assert _changes(facts) == []
    assert (certificates / "server.key").stat().st_mode & 0o777 == 0o600
    (certificates / "server.key").chmod(0o644)
    told = stack("up", program=program)
    assert told.returncode == 0, told.stderr
    assert not {str(file) for file in files if file.stat().st_mode & 0o004 == 0}
    assert not {str(file) for file in files if file.is_dir() and file.stat().st_mode & 0o001 == 0}
    assert (copy / "infra" / "prometheus" / "entrypoint.sh").stat().st_mode & 0o111 == 0o111


def _mounted_files(checkout: Path, service: str) -> Iterator[Path]:
    """Yield what a service mounts of the repository."""
    for volume in cast("list[object]", compose_services()[service].get("volumes", [])):
        if str(volume).startswith("./"):
            yield checkout / str(volume).split(":")[0]


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize(
    ("named", "passed"), [("mine", "./mine"), ("./mine", "./mine"), ("~/mine", "{home}/mine")]
)
def test_the_folder_of_the_data_is_made_where_compose_looks_for_it(
    stack: Stack, facts: Path, tmp_path: Path, named: str, passed: str
) -> None:
    """Compose takes a name without ./ for a volume, and expands ~."""
    copy = _checkout(tmp_path / "copy")
    home = tmp_path / "home"
    program = str(copy / "infra" / "containers" / "stack")
    told = stack("up", program=program, TOXIC_DATA_DIR=named, HOME=str(home))
    assert told.returncode == 0, told.stderr
    folder = passed.format(home=home)
    assert (facts / "data").read_text(encoding="utf-8") == f"{folder}\n"
    assert (copy / folder / "01_raw").is_dir()


def test_another_stack_can_start_beside_one_with_a_lost_env_file(
    stack: Stack, facts: Path, tmp_path: Path
) -> None:
    """A name of its own has volumes of its own, and is kept in the settings."""
    (facts / "volumes").write_text("toxic\n", encoding="utf-8")
    told = stack("up", COMPOSE_PROJECT_NAME="other", INFERENCE_API_KEYS_FILE="")
    assert told.returncode == 0, told.stderr
    assert "\nCOMPOSE_PROJECT_NAME=other\n" in (tmp_path / "env").read_text(encoding="utf-8")


@pytest.mark.usefixtures("ready")
def test_the_env_file_of_another_folder_takes_no_stack_down(stack: Stack, facts: Path) -> None:
    """Containers with other passwords than those of the file stay as they are."""
    (facts / "environment").write_text("POSTGRES_PASSWORD=other\n", encoding="utf-8")
    told = stack("up")
    assert told.returncode == 1
    assert "was started with other passwords" in told.stderr
    assert _changes(facts) == []


@pytest.mark.usefixtures("ready")
def test_a_container_that_has_the_passwords_of_the_env_file_is_changed(
    stack: Stack, facts: Path, tmp_path: Path
) -> None:
    """By a digest, or by the password that a container of an older release has; another is refused."""
    assert stack("up").returncode == 0
    (digests,) = (tmp_path / "env.secrets" / "postgres.env").read_text(encoding="utf-8").splitlines()
    (password,) = re.findall(r"(?m)^POSTGRES_ADMIN_PASSWORD=(.*)$", (tmp_path / "env").read_text("utf-8"))
    named = re.sub(r":\w+", ":0123456789abcdef", digests, count=1)
    for environment, status in (
        (f"{digests}\nPOSTGRES_PASSWORD_FILE=/run/secrets/POSTGRES_PASSWORD", 0),
        (f"POSTGRES_PASSWORD={password}", 0),
        (named, 1),
    ):
        (facts / "environment").write_text(f"LANG=C.UTF-8\n{environment}\n", encoding="utf-8")
        assert stack("up").returncode == status, environment
    assert stack("up", INFERENCE_DB_PASSWORD="of another role").returncode == 1
    (facts / "environment").write_text(f"{digests}\n", encoding="utf-8")
    assert stack("up", INFERENCE_DB_PASSWORD="of another role").returncode == 0


def _contents(folder: Path) -> dict[str, tuple[int, str]]:
    """Return each file's inode and content."""
    return {file.name: (file.stat().st_ino, file.read_text(encoding="utf-8")) for file in folder.iterdir()}


@pytest.mark.usefixtures("ready")
def test_secrets_are_files_in_a_folder_of_the_owner(stack: Stack, tmp_path: Path) -> None:
    """Readable by the containers' users. A file is replaced as a whole, and only if its secret changed."""
    assert stack("up").returncode == 0
    folder = tmp_path / "env.secrets"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o644}
    first = _contents(folder)
    secrets = yaml.safe_load(COMPOSE)["secrets"].keys()
    services = {name for name in compose_services() if secrets_of(name) and not name.endswith("-2")}
    assert first.keys() == secrets | {f"{service}.env" for service in services}
    settings = dict(re.findall(r"(?m)^(\w+)=(.*)$", (tmp_path / "env").read_text(encoding="utf-8")))
    plain = secrets - COMPOUND_SECRETS
    assert {name: first[name][1] for name in plain} == {name: settings.get(name, "") for name in plain}
    assert stack("up").returncode == 0
    assert _contents(folder) == first
    assert stack("up", ALERT_TOKEN="another").returncode == 0
    after = _contents(folder)
    changed = {name for name in first if first[name] != after[name]}
    assert changed == {"ALERT_TOKEN", "training.env", "alertmanager.env"}
    assert all(first[name][0] != after[name][0] for name in changed), "replaced, not written to"
    assert {path.name for path in tmp_path.iterdir() if "partial" in path.name} == set()


@pytest.mark.usefixtures("ready")
def test_passwords_that_are_half_written_are_removed(stack: Stack, tmp_path: Path) -> None:
    """Here the script of the settings finds no example, and that of the secrets can't make digests."""
    command = [str(CONTAINERS / "make-env.sh"), str(tmp_path / "other")]
    assert subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode != 0
    (tmp_path / "sha256sum").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    (tmp_path / "sha256sum").chmod(0o755)
    assert stack("keys", "list").returncode != 0
    assert not [path.name for path in tmp_path.iterdir() if "partial" in path.name]


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("password", ["p@ss:word", "a/b?c#d", "100%41", "[é] +,'"])
def test_a_password_of_one_s_own_may_have_any_character(stack: Stack, tmp_path: Path, password: str) -> None:
    """Addresses have it encoded, and in the registry's list of users a comma is refused by name."""
    address = {"INFERENCE_FEEDBACK_URL": "postgresql://inference:${INFERENCE_DB_PASSWORD}@postgres/registry"}
    with (tmp_path / "env").open("a", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in address.items())
    passwords = {"POSTGRES_PASSWORD": password, "INFERENCE_DB_PASSWORD": password}
    told = stack("keys", "list", **passwords, REGISTRY_PASSWORD=password.replace(",", ";"))
    assert told.returncode == 0, told.stderr
    files = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "env.secrets").iterdir()}
    for name in ("REGISTRY_BACKEND_STORE_URI", "INFERENCE_FEEDBACK_URL"):
        found = make_url(files[name])
        assert (found.password, found.host, found.database) == (password, "postgres", "registry")
    assert files["POSTGRES_PASSWORD"] == files["INFERENCE_DB_PASSWORD"] == password
    assert password.replace(",", ";") == files["REGISTRY_PASSWORD"]
    shutil.rmtree(tmp_path / "env.secrets")
    for name in ("REGISTRY_PASSWORD", "REGISTRY_TRAINING_PASSWORD", "REGISTRY_INFERENCE_PASSWORD"):
        refused = stack("keys", "list", **{name: "a,b"})
        assert refused.returncode == 1
        assert f"{name} in {tmp_path / 'env'} has a comma" in refused.stderr


@pytest.mark.usefixtures("ready")
def test_a_short_password_cannot_be_guessed_from_its_digest(stack: Stack, tmp_path: Path) -> None:
    """Containers show them; two stacks with one password have different digests."""
    found = []
    for admin in ("one", "other"):
        assert stack("up", GRAFANA_PASSWORD="1234", POSTGRES_ADMIN_PASSWORD=admin).returncode == 0
        found.append((tmp_path / "env.secrets" / "grafana.env").read_text(encoding="utf-8"))
    assert found[0] != found[1]
    assert all(re.fullmatch(r"TOXIC_SECRET_DIGESTS=GRAFANA_PASSWORD:[0-9a-f]{16}\n", line) for line in found)


@pytest.mark.usefixtures("ready")
def test_a_command_finds_the_secrets_before_the_first_start(stack: Stack, tmp_path: Path) -> None:
    """After an upgrade, `make backup` works at once; without passwords it names one."""
    assert stack("keys", "list").returncode == 0
    assert (tmp_path / "env.secrets" / "grafana.env").exists()
    (tmp_path / "env.secrets" / "grafana.env").unlink()
    (tmp_path / "env").write_text("POSTGRES_PASSWORD=\n", encoding="utf-8")
    told = stack("keys", "list")
    assert told.returncode == 1
    assert "POSTGRES_PASSWORD is missing in" in told.stderr


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("settings", ["POSTGRES_PASSWORD=kept\n", None])
@pytest.mark.parametrize("command", ["ps", "logs", "down", "clean"])
def test_a_stack_without_its_passwords_can_be_listed_and_stopped(
    stack: Stack, facts: Path, tmp_path: Path, command: str, settings: str | None
) -> None:
    """Compose finds every file that it needs; the settings stay as they are, and no file is left over."""
    (facts / "volumes").write_text("toxic\n", encoding="utf-8")
    (tmp_path / "env").unlink()
    if settings is not None:
        (tmp_path / "env").write_text(settings, encoding="utf-8")
    before = {path.name for path in tmp_path.iterdir()}
    told = stack(command, answer="y\n", COMPOSE_PROJECT_NAME="toxic")
    assert told.returncode == 0, told.stderr
    assert {path.name for path in tmp_path.iterdir()} == before
    called = {"clean": "down --volumes"}.get(command, command)
    assert f"\ncompose {called}" in (facts / "calls").read_text(encoding="utf-8")


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("plain # a comment", "plain"),
        ("  a#b ", "a#b"),
        ("it's", "it's"),
        ("'single ${TOXIC_HOST} $$' # c", "single ${TOXIC_HOST} $$"),
        ('"double ${TOXIC_HOST} \\"q\\" \\$x" # c', 'double localhost "q" $x'),
        ("u:${TOXIC_HOST}@h/$REGISTRY_PORT", "u:localhost@h/5000"),
        ("a$$b", "a$b"),
        ("${TOXIC_NONE:-other}x", "otherx"),
        ("$%x\\y", "$%x\\y"),
        ("${GRAFANA_PASSWORD}x", "x"),
        ("-n", "-n"),
    ],
)
def test_a_setting_is_read_as_compose_reads_it(stack: Stack, tmp_path: Path, line: str, value: str) -> None:
    """Passwords were read by Compose before they were files; the expected values are those of Compose 2."""
    settings = (tmp_path / "env").read_text(encoding="utf-8")
    settings = re.sub(r"(?m)^GRAFANA_PASSWORD=.*$", lambda _: f"GRAFANA_PASSWORD={line}", settings)
    (tmp_path / "env").write_text(settings, encoding="utf-8")
    assert stack("keys", "list").returncode == 0
    assert (tmp_path / "env.secrets" / "GRAFANA_PASSWORD").read_text(encoding="utf-8") == value


@pytest.mark.usefixtures("ready")
def test_a_container_that_is_not_healthy_is_named_with_its_log(stack: Stack, facts: Path) -> None:
    """A stack isn't ready while one of its containers restarts."""
    (facts / "ill").write_text("alertmanager\n", encoding="utf-8")
    told = stack("up")
    assert told.returncode == 1
    assert "Ready." not in told.stdout
    assert "alertmanager: not healthy" in told.stderr
    assert "the log of alertmanager" in told.stderr
    assert "the log of grafana" not in told.stderr


@pytest.mark.usefixtures("ready")
def test_a_container_of_a_compose_file_that_is_not_in_use_is_left_alone(stack: Stack, facts: Path) -> None:
    """Compose couldn't start it: neither a start nor new passwords wait for it."""
    with (facts / "running").open("a", encoding="utf-8") as running:
        running.write("perspective\n")
    (facts / "ill").write_text("perspective\n", encoding="utf-8")
    for command in ("up", "rotate"):
        told = stack(command)
        assert told.returncode == 0, told.stderr
    assert not [call for call in _changes(facts) if "perspective" in call]


@pytest.mark.usefixtures("ready")
def test_a_container_without_a_health_check_need_only_run(stack: Stack, facts: Path, tmp_path: Path) -> None:
    """Such as one of the operator's own Compose file, which COMPOSE_FILE in the settings adds."""
    for name in ("services", "running", "unchecked"):
        with (facts / name).open("a", encoding="utf-8") as file:
            file.write("mine\n")
    with (tmp_path / "env").open("a", encoding="utf-8") as settings:
        settings.write("COMPOSE_FILE=docker-compose.yml:mine.yml\n")
    told = stack("up")
    assert told.returncode == 0, told.stderr
    (facts / "ill").write_text("mine\n", encoding="utf-8")
    assert "mine: not healthy" in stack("up").stderr
    assert stack("rotate").returncode == 1
    assert [call for call in _changes(facts) if re.match(r"compose up --detach .*\bmine\b", call)]
    assert (facts / "files").read_text(encoding="utf-8") == "docker-compose.yml:mine.yml\n"


@pytest.mark.usefixtures("ready")
def test_without_an_image_the_start_of_the_rest_is_named(stack: Stack, facts: Path) -> None:
    """Before anything is built or started."""
    (facts / "missing").write_text("grafana/grafana:12.1.1\n", encoding="utf-8")
    told = stack("up")
    assert told.returncode == 1
    assert "No image for grafana" in told.stderr
    rest = ["postgres", "registry", "training", "inference", "prometheus", "notices", "alertmanager"]
    (named,) = re.findall(r'make up SERVICES="(.*)"', told.stderr)
    assert sorted(named.split()) == sorted(rest)
    assert _changes(facts) == ["compose pull grafana"]
    assert stack("up", *named.split()).returncode == 0


@pytest.mark.usefixtures("ready")
def test_up_reports_that_no_person_is_notified_of_alerts(stack: Stack) -> None:
    """Until there is an address."""
    assert "No person is notified of alerts" in stack("up").stdout
    told = stack("up", ALERTMANAGER_SLACK_URL="https://chat.example/hook").stdout
    assert "Ready." in told
    assert "No person" not in told


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize(("admin", "host"), [("", "localhost"), ("0.0.0.0", "scores.example")])  # noqa: S104
def test_up_prints_addresses_that_answer(stack: Stack, admin: str, host: str) -> None:
    """The name of this machine leads to the ports of operators only if these are published too."""
    chosen = {"TOXIC_BIND": "0.0.0.0", "TOXIC_ADMIN_BIND": admin, "TOXIC_HOST": "scores.example"}  # noqa: S104
    told = stack("up", **chosen)
    assert told.returncode == 0, told.stderr
    addresses = dict(re.findall(r"(?m)^  (\S.*\S) +http://([^:]+):", told.stdout))
    assert {addresses.pop("page"), addresses.pop("API docs")} == {"scores.example"}
    assert addresses == dict.fromkeys(("MLflow UI", "Grafana", "Prometheus", "Alertmanager"), host)


@pytest.mark.usefixtures("ready")
def test_replicas_are_changed_one_after_the_other(stack: Stack, facts: Path) -> None:
    """The second one only once the first is healthy again; and only with shared corrections."""
    (facts / "running").write_text("postgres\nregistry\ninference\ninference-2\nproxy\n", encoding="utf-8")
    refused = stack("up", COMPOSE_PROFILES="replicas")
    assert refused.returncode == 1
    assert "INFERENCE_FEEDBACK_URL=postgresql://" in refused.stderr
    shared = {
        "COMPOSE_PROFILES": "replicas",
        "INFERENCE_FEEDBACK_URL": "postgresql://inference@postgres/registry",
    }
    assert stack("up", **shared).returncode == 0
    calls = (facts / "calls").read_text(encoding="utf-8").splitlines()
    ups = [call for call in calls if call.startswith("compose up")]
    assert ups == [
        "compose up --detach postgres",
        *(f"compose up --detach --no-deps {name}" for name in ("registry", "inference-2", "inference")),
        "compose up --detach",
    ]
    between = calls[calls.index(ups[2]) : calls.index(ups[3])]
    assert any("docker inspect" in call and call.endswith("inference-2") for call in between)


@pytest.mark.usefixtures("ready")
def test_a_rotation_gives_new_passwords_and_leaves_none_empty(
    stack: Stack, facts: Path, tmp_path: Path
) -> None:
    """All of them or those that are named, in the lines where they were; all else stays."""
    before = (tmp_path / "env").read_text(encoding="utf-8").splitlines()
    secrets = re.findall(r"(?m)^(\w+)=change-me$", EXAMPLE.read_text(encoding="utf-8"))
    (facts / "environment").write_text("POSTGRES_PASSWORD=lost\n", encoding="utf-8")
    assert stack("rotate", "TOXIC_BIND").returncode == 1
    for names in (["GRAFANA_PASSWORD"], []):
        told = stack("rotate", *names)
        assert told.returncode == 0, told.stderr
        after = (tmp_path / "env").read_text(encoding="utf-8").splitlines()
        changed = {new.split("=")[0] for old, new in zip(before, after, strict=True) if old != new}
        assert changed == set(names or secrets)
        assert all(re.search(rf"(?m)^{name}=[0-9a-f]{{48}}$", "\n".join(after)) for name in secrets)
        before = after
    assert any("reset-admin-password" in call for call in _changes(facts))
    assert any("POSTGRES_PASSWORD_FILE" in call for call in _changes(facts))


@pytest.mark.usefixtures("ready")
def test_a_rotation_recreates_what_uses_the_password(stack: Stack, tmp_path: Path) -> None:
    """Its digests change, and no other's; PostgreSQL's superuser gets its password from its file."""
    assert stack("up").returncode == 0
    before = _contents(tmp_path / "env.secrets")
    _psql(tmp_path)
    (tmp_path / "volumes" / "postgres").mkdir()
    file = tmp_path / "env.secrets" / "POSTGRES_ADMIN_PASSWORD"
    told = stack(
        *("rotate", "POSTGRES_PASSWORD"),
        POSTGRES_PASSWORD_FILE=str(file),
        PSQL_CALLS=str(tmp_path / "calls"),
    )
    assert told.returncode == 0, told.stderr
    after = _contents(tmp_path / "env.secrets")
    assert {name for name in before if before[name] != after[name]} == {
        *("POSTGRES_PASSWORD", "REGISTRY_BACKEND_STORE_URI"),
        *("postgres.env", "registry.env"),
    }
    arguments, given = (tmp_path / "calls").read_text(encoding="utf-8").splitlines()[:2]
    assert file.read_text(encoding="utf-8") not in arguments
    assert given == f"password is {file.read_text(encoding='utf-8')}"


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("name", ["env", "lost"])
def test_a_rotation_without_an_image_changes_no_password(
    stack: Stack, facts: Path, tmp_path: Path, name: str
) -> None:
    """Otherwise the settings would have passwords that the stack lacks."""
    assert stack("up").returncode == 0
    before = _contents(tmp_path / "env.secrets")
    settings = (tmp_path / "env").read_text(encoding="utf-8")
    (tmp_path / "env").rename(tmp_path / name)
    (facts / "missing").write_text("grafana/grafana:12.1.1\n", encoding="utf-8")
    told = stack("rotate")
    assert told.returncode == 1
    assert "No image for grafana" in told.stderr
    assert _contents(tmp_path / "env.secrets") == before
    assert (tmp_path / "env").exists() is (name == "env")
    assert (tmp_path / name).read_text(encoding="utf-8") == settings
    (facts / "missing").write_text("", encoding="utf-8")
    assert stack("rotate").returncode == 0
    assert (tmp_path / "env").read_text(encoding="utf-8") != settings


@pytest.mark.usefixtures("ready")
def test_old_backups_are_removed_and_other_folders_stay(stack: Stack, tmp_path: Path) -> None:
    """KEEP is the number of the newest ones that stay."""
    backups = tmp_path / "backups"
    (backups / "photos").mkdir(parents=True)
    (backups / "photos" / "SHA256SUMS").touch()
    for name, age in (("old", 300), ("older", 400), ("newer", 200)):
        (backups / name).mkdir()
        (backups / name / "registry.dump").touch()
        os.utime(backups / name / "registry.dump", (time.time() - age,) * 2)
    told = stack("backup", str(backups / "newest"), KEEP="2")
    assert told.returncode == 0, told.stderr
    assert {path.name for path in backups.iterdir()} == {"photos", "newer", "newest"}
    assert "keep a copy of" in told.stdout


def test_a_start_without_the_file_of_keys_is_explained(
    stack: Stack,
) -> None:
    """Inference would only restart again and again."""
    told = stack("up")
    assert told.returncode == 1
    assert "keys.txt, which doesn't exist" in told.stderr
    assert "stack keys add NAME" in told.stderr


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("stopped", [[], ["inference", "training", "grafana"]])
def test_a_backup_has_what_a_new_machine_needs(
    stack: Stack, facts: Path, tmp_path: Path, stopped: list[str]
) -> None:
    """Evaluations and their table, API keys, policies, and training's key and history, stopped or not."""
    running = set((facts / "running").read_text(encoding="utf-8").split())
    (facts / "running").write_text("\n".join(running - {*stopped}) + "\n", encoding="utf-8")
    files = {
        "registry/evaluations/table/contract/evaluation.json": "{}",
        "registry/sealed.csv": "content,toxic",
        "registry/artifacts/model": "weights",
        "inference/keys.txt": "team client digest",
        "inference/state/policies.yaml": "forum: {}",
        "training/state/signing-key": "secret",
    }
    for name, content in files.items():
        (tmp_path / "volumes" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "volumes" / name).write_text(content, encoding="utf-8")
    policies = str(tmp_path / "volumes" / "inference" / "state" / "policies.yaml")
    assert stack("backup", str(tmp_path / "backup"), INFERENCE_POLICIES_FILE=policies).returncode == 0
    (facts / "running").write_text("\n".join(running) + "\n", encoding="utf-8")
    (grafana,) = [call for call in _changes(facts) if call.startswith("docker run ")]
    assert ("--volume=toxic_grafana-data:/var/lib/grafana" in grafana) is bool(stopped)
    for name in files:
        (tmp_path / "volumes" / name).unlink()
    told = stack("restore", str(tmp_path / "backup"))
    assert told.returncode == 0, told.stderr
    assert told.stdout.index("wait until the champion answers") < told.stdout.index("Ready.")
    assert "Grafana" in told.stdout
    found = {name: (tmp_path / "volumes" / name).read_text(encoding="utf-8") for name in files}
    assert found == files


def test_a_database_is_copied_in_less_memory_than_it_has_bytes(tmp_path: Path) -> None:
    """Inference's container copies its own, which may be larger than what the container may take."""
    megabytes = 128
    with sqlite3.connect(tmp_path / "feedback.db") as database:
        database.execute("CREATE TABLE correction (text)")
        database.executemany("INSERT INTO correction VALUES (zeroblob(?))", [(2**20,)] * megabytes)
    script = (CONTAINERS / "backup.sh").read_text(encoding="utf-8")
    (code,) = re.findall(r"(?ms)^COPY_SQLITE='\n(.*?)^'", script)
    limit = f"--as={megabytes * 2**20}"
    command = ["prlimit", limit, sys.executable, "-c", code, str(tmp_path / "feedback.db")]
    with (tmp_path / "copy.db").open("wb") as copy:
        subprocess.run(command, check=True, stdout=copy)
    with sqlite3.connect(tmp_path / "copy.db") as database:
        assert database.execute("SELECT count(*) FROM correction").fetchone() == (megabytes,)


@pytest.mark.usefixtures("ready")
def test_a_restore_sets_the_password_of_grafana(stack: Stack, facts: Path, tmp_path: Path) -> None:
    """The one that is printed: the backup's database has that of the old machine."""
    backup = tmp_path / "backup"
    assert stack("backup", str(backup)).returncode == 0
    (backup / "grafana.db").write_text("of the old machine", encoding="utf-8")
    digests = "".join(
        f"{sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
        for file in backup.iterdir()
        if file.name != "SHA256SUMS"
    )
    (backup / "SHA256SUMS").write_text(digests, encoding="utf-8")
    # The stand-in runs no command for it: the database's path is absolute.
    (tmp_path / "volumes" / "grafana").rmdir()
    told = stack("restore", str(backup))
    assert told.returncode == 0, told.stderr
    changes = _changes(facts)
    (reset,) = [place for place, call in enumerate(changes) if "reset-admin-password" in call]
    assert reset > changes.index("compose up --detach")


@pytest.mark.usefixtures("ready")
def test_a_backup_leaves_out_services_that_the_stack_never_had(
    stack: Stack, facts: Path, tmp_path: Path
) -> None:
    """Their images may not be there."""
    (facts / "running").write_text("postgres\nregistry\n", encoding="utf-8")
    (facts / "stored").write_text("", encoding="utf-8")
    told = stack("backup", str(tmp_path / "backup"))
    assert told.returncode == 0, told.stderr
    assert not [call for call in _changes(facts) if re.search("inference sh|training|grafana", call)]


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize(("status", "found"), [(1, {"backup"}), (2, set())])
def test_a_backup_accepts_files_that_are_added_meanwhile(
    stack: Stack, tmp_path: Path, status: int, found: set[str]
) -> None:
    """GNU tar ends with 1 for them, and with 2 after an error, which leaves no file behind."""
    (tmp_path / "tar").write_text(f'#!/bin/sh\n/usr/bin/tar "$@"\nexit {status}\n', encoding="utf-8")
    (tmp_path / "tar").chmod(0o755)
    (tmp_path / "backups").mkdir()
    told = stack("backup", str(tmp_path / "backups" / "backup"))
    assert (told.returncode == 0) is bool(found), told.stderr
    assert {path.name for path in (tmp_path / "backups").iterdir()} == found


@pytest.mark.usefixtures("ready")
def test_a_restore_leaves_out_what_has_no_image(stack: Stack, facts: Path, tmp_path: Path) -> None:
    """Grafana's image may not be had on the new machine; the rest starts."""
    assert stack("backup", str(tmp_path / "backup")).returncode == 0
    (facts / "missing").write_text("grafana/grafana:12.1.1\n", encoding="utf-8")
    told = stack("restore", str(tmp_path / "backup"))
    assert told.returncode == 0, told.stderr
    assert "can't be had: grafana." in told.stdout
    assert (tmp_path / "data" / "01_raw").is_dir()
    (up,) = [call for call in _changes(facts) if re.match(r"compose up --detach \w+ ", call)]
    assert "grafana" not in up
    assert "prometheus" in up


@pytest.fixture
def database() -> Iterator[PostgresServer]:
    """Run a PostgreSQL as the stack's."""
    server = PostgresServer("postgres")
    yield server
    server.stop()


@pytest.mark.server
@pytest.mark.usefixtures("ready")
def test_a_backup_restores_the_database_with_each_role_s_tables(
    stack: Stack, facts: Path, database: PostgresServer, tmp_path: Path
) -> None:
    """A real PostgreSQL: tables and corrections return to their owners, though no replica runs now."""
    (facts / "running").write_text("postgres\nregistry\n", encoding="utf-8")
    host, _, port = database.host.partition(":")
    postgres = {
        "PATH": f"{tmp_path}:{Path(shutil.which('psql') or '').parent}:/usr/bin:/bin",
        "PGHOST": host,
        "PGPORT": port,
        "DATABASE_ROLES": str(ROOT / "infra" / "kubernetes" / "base" / "database-roles.sh"),
        "REGISTRY_DB_PASSWORD": "one",
        "INFERENCE_DB_PASSWORD": "other",
    }
    roles = ["bash", postgres["DATABASE_ROLES"]]
    subprocess.run(roles, env={**postgres, "POSTGRES_USER": "postgres"}, check=True)

    def run(role: str, statement: str) -> str:
        command = ["psql", f"--username={role}", "--dbname=registry", "-Atqc", statement]
        return subprocess.run(
            command, env=postgres, check=True, capture_output=True, text=True
        ).stdout.strip()

    run("registry", "CREATE TABLE version (number int); INSERT INTO version VALUES (7)")
    run("inference", "CREATE TABLE correction (place int); INSERT INTO correction VALUES (8)")
    told = stack("backup", str(tmp_path / "backup"), **postgres)
    assert told.returncode == 0, told.stderr
    run("registry", "DELETE FROM version")
    run("inference", "DROP TABLE correction")
    told = stack("restore", str(tmp_path / "backup"), **postgres)
    assert told.returncode == 0, told.stderr
    assert run("registry", "SELECT number FROM version") == "7"
    assert run("inference", "SELECT place FROM correction") == "8"
    owners = "SELECT tablename || ' ' || tableowner FROM pg_tables WHERE tablename ~ '^(version|correction)$'"
    assert sorted(run("postgres", owners).splitlines()) == ["correction inference", "version registry"]
