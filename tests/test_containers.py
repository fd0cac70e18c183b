"""What can be known of the images and the compose file without building or starting them."""

import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast

import pytest
import yaml

from toxic_core.telemetry import TELEMETRY_OFF

ROOT = Path(__file__).resolve().parents[1]
CONTAINERS = ROOT / "infra" / "containers"
SERVICES = ("inference", "registry", "training")
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
EXAMPLE = ROOT / ".env.example"


def _stages() -> dict[str, str]:
    """Return the stages of the Dockerfile by their names."""
    return dict(re.findall(r"(?ms)^FROM \S+ AS (\S+)\n(.*?)(?=^FROM |\Z)", DOCKERFILE))


def _services() -> dict[str, dict[str, object]]:
    return cast("dict[str, dict[str, object]]", yaml.safe_load(COMPOSE)["services"])


def _requirements(*packages: str) -> set[str]:
    command = [sys.executable, str(CONTAINERS / "requirements.py"), *packages]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return {re.split(r"[^\w-]", line)[0] for line in lines}


def test_images_turn_every_telemetry_off() -> None:
    """The variables are set for every program in a container, `docker exec` included."""
    assert sorted(re.findall(r"FROM runtime AS (\S+)", DOCKERFILE)) == sorted(SERVICES)
    (variables,) = re.findall(r"^ENV (DO_NOT_TRACK.*?[^\\])$", _stages()["runtime"], re.MULTILINE | re.DOTALL)
    assert dict(re.findall(r"(\w+)=(\S+)", variables)) == TELEMETRY_OFF


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_runs_as_a_fixed_user_and_reports_its_health(service: str) -> None:
    """Volumes keep their owner across builds, and a health check lets others wait for the container."""
    stage = _stages()[service]
    assert "USER 10001:10001" in stage
    assert "HEALTHCHECK" in stage
    assert "org.opencontainers.image.revision" in stage
    assert not re.search(r"pip install|apt-get", stage), "installing belongs to the build stages"
    assert yaml.safe_load(COMPOSE)["services"][service]["build"]["target"] == service


def test_the_last_stage_is_the_endpoint() -> None:
    """`docker build .` makes the inference service: its stage is above the larger images."""
    assert DOCKERFILE.endswith("\nFROM inference AS endpoint\n")
    assert re.findall(r"FROM runtime AS (\S+)", DOCKERFILE)[0] == "inference"


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_installs_the_packages_whose_dependencies_it_has(service: str) -> None:
    """A package that is installed without its dependencies would fail at its import."""
    stage = _stages()[f"build-{service}"]
    (listed,) = re.findall(r"install-dependencies\.sh (.+)", stage)
    (installed,) = re.findall(r"--no-deps.*?\\\n(.+?)(?: \\|$)", stage, re.MULTILINE)
    folders = [re.sub(":.*", "", package) for package in listed.split()]
    assert folders == installed.replace("-e ", "").split()
    assert _requirements(*listed.replace("$EXTRA", "").split())


def test_only_training_has_tensorflow_and_inference_takes_it_as_an_extra() -> None:
    """Each image depends on what its service imports; packages of this repository come in another layer."""
    slim, with_tensorflow, gpu = (
        _requirements("libs/toxic_core", "libs/toxic_model", f"services/inference:{extra}")
        for extra in ("", "tensorflow", "gpu")
    )
    registry = _requirements("libs/toxic_core", "services/registry")
    assert {"starlette", "openvino", "tokenizers", "mlflow-skinny"} <= slim
    assert not slim & {"kedro", "keras-hub", "mlflow", "pandas", "pyarrow", "scikit-learn"}
    assert with_tensorflow - slim == {"tensorflow-cpu", "tensorflow"}, "which one depends on the processor"
    assert gpu - slim == {"tensorflow", "nvidia-ml-py"}
    assert "mlflow" in registry
    assert "httptools" in slim & registry, "an extra of the core that both servers need"
    for names in (slim, registry):
        assert not {name for name in names if name.startswith(("tensorflow", "keras", "kedro", "toxic"))}


def test_a_package_that_another_needs_must_be_named() -> None:
    """Left out, its own dependencies would be missing in the image."""
    command = [sys.executable, str(CONTAINERS / "requirements.py"), "services/registry"]
    refused = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "toxic-core" in refused.stderr


def test_every_setting_of_the_stack_is_explained() -> None:
    """.env.example has exactly the variables that the compose file reads."""
    read = set(re.findall(r"\$\{(\w+)", COMPOSE)) - {"TOXIC_REVISION"}
    assert read == set(re.findall(r"(?m)^(\w+)=", EXAMPLE.read_text(encoding="utf-8")))


def test_a_default_is_the_same_in_both_files() -> None:
    """Whether .env was made a release ago or not at all, the stack is the same one."""
    example = dict(re.findall(r"(?m)^(\w+)=(.*)$", EXAMPLE.read_text(encoding="utf-8")))
    defaults = set(re.findall(r"\$\{(\w+):-([^}]*)\}", COMPOSE)) - {("TOXIC_REVISION", "unknown")}
    assert {(name, example[name]) for name, _ in defaults} == defaults


def test_our_containers_can_write_to_their_volumes_only() -> None:
    """A read-only root, no capability, no way to get one."""
    for name in SERVICES:
        service = _services()[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_every_container_has_a_limit_and_comes_back() -> None:
    """One that leaks or spins takes neither the others nor the machine with it."""
    for name, service in _services().items():
        assert {"mem_limit", "cpus", "restart"} <= service.keys(), name


def test_only_what_a_person_opens_is_published_and_on_this_machine() -> None:
    """TOXIC_BIND changes that."""
    for name, service in _services().items():
        ports = cast("list[str]", service.get("ports", []))
        networks = cast("list[str]", service["networks"])
        assert bool({"published", "outside"} & set(networks)) == bool(ports), name
        assert all(port.startswith("${TOXIC_BIND:-127.0.0.1}:") for port in ports), name
    assert not {"postgres", "training"} & {
        name for name, service in _services().items() if "ports" in service
    }
    assert yaml.safe_load(COMPOSE)["networks"]["inside"]["internal"] is True


def test_only_what_sees_no_comment_reaches_the_outside() -> None:
    """Alerts and figures may be wanted elsewhere; texts stay."""
    outside = {name for name, service in _services().items() if "outside" in str(service["networks"])}
    assert outside == {"prometheus", "alertmanager"}


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
    assert list(added) == [name for name in secrets if name != "POSTGRES_PASSWORD"]
    assert all(re.fullmatch("[0-9a-f]{48}", value) for value in added.values())
    assert file.stat().st_mode & 0o777 == 0o600
    link = tmp_path / "link"
    link.symlink_to(file)
    before = file.stat().st_ino
    _make_env(link)
    assert link.is_symlink()
    assert (file.stat().st_ino, file.read_text(encoding="utf-8")) == (before, first)


def test_the_training_server_asks_other_containers_for_a_token() -> None:
    """`make up` makes it, apart from that of alerts."""
    environment = cast("dict[str, str]", _services()["training"]["environment"])
    assert environment["TRAINING_TOKEN"].startswith("${TRAINING_TOKEN:?")
    assert {"TRAINING_TOKEN=change-me", "ALERT_TOKEN=change-me"} <= {*EXAMPLE.read_text("utf-8").splitlines()}


@pytest.mark.hostile(17)
@pytest.mark.parametrize(
    ("bind", "allowed"),
    [
        ("127.0.0.1", "true"),
        ("127.1.2.3", "true"),
        ("::1", "true"),
        ("localhost", "true"),
        ("0.0.0.0", ""),  # noqa: S104  compared with, not bound to
        ("192.0.2.1", ""),
        ("127.example.org", "true"),
        ("", ""),
    ],
)
def test_keys_are_needed_once_other_machines_reach_the_service(
    tmp_path: Path, bind: str, allowed: str
) -> None:
    """Compose publishes on addresses only, so that a name like the last one stops its start."""
    (tmp_path / "python").write_text('#!/bin/sh\necho "[$INFERENCE_ALLOW_UNAUTHENTICATED]"\n')
    (tmp_path / "python").chmod(0o755)
    shell = cast("list[str]", _services()["inference"]["command"])
    command = [word.replace("$$", "$") for word in shell]
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "TOXIC_BIND": bind}
    told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    assert told == f"[{allowed}]\n"


@pytest.mark.hostile(32)
def test_every_service_signs_in_to_the_registry_as_itself() -> None:
    """With the least role; no container has the password of another, the registry aside."""
    users = str(cast("dict[str, str]", _services()["registry"]["environment"])["REGISTRY_USERS"])
    written = re.sub(r"\$\{(\w+):[^}]*\}", r"\1", users)
    assert written == (
        "REGISTRY_USER:REGISTRY_PASSWORD override,training:REGISTRY_TRAINING_PASSWORD writer,"
        "inference:REGISTRY_INFERENCE_PASSWORD reader,REGISTRY_MORE_USERS"
    )
    for name, service in _services().items():
        read = set(re.findall(r"\$\{(REGISTRY_\w*PASSWORD)", str(service)))
        if name != "registry":
            own = {f"REGISTRY_{name.upper()}_PASSWORD"} if name in {"training", "inference"} else set()
            assert read == own, name


class _Service(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/well" else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print no output."""


@pytest.fixture
def port() -> Iterator[int]:
    """Serve /well with 200, and everything else with 503."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Service) as server:
        threading.Thread(target=server.serve_forever).start()
        yield server.server_port
        server.shutdown()


def _health(*arguments: str, **environment: str) -> int:
    command = [sys.executable, str(CONTAINERS / "healthcheck.py"), *arguments]
    return subprocess.run(command, env=environment, check=False, capture_output=True).returncode


def test_the_health_check_tells_well_from_ill_from_gone(port: int) -> None:
    """It asks the port of the first variable that is set, the service itself and no proxy."""
    proxy = {"http_proxy": "http://127.0.0.1:1"}
    assert _health("/well", str(port), **proxy) == 0
    assert _health("/well", "1", "INFERENCE_PORT", "PORT", PORT=str(port)) == 0
    assert _health("/ill", str(port)) == 1
    assert _health("/well", "1") == 1


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
shift 2
case $1 in exec | run) shift ;; *) exit 0 ;; esac
while [ "${1#-}" != "$1" ]; do shift; done
cd "$VOLUMES/$1" 2>/dev/null && shift || exit 0
case $1 in sh | test) exec "$@" ;; esac
"""


@pytest.fixture
def stack(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return the function that runs a command of the stack without Docker; volumes are folders."""
    (tmp_path / "docker").write_text("#!/bin/sh\necho healthy\n", encoding="utf-8")
    (tmp_path / "compose").write_text(FAKE_COMPOSE, encoding="utf-8")
    for program in ("docker", "compose"):
        (tmp_path / program).chmod(0o755)
    for service in ("registry", "inference"):
        (tmp_path / "volumes" / service).mkdir(parents=True)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{tmp_path}:/usr/bin:/bin",
            "COMPOSE": str(tmp_path / "compose"),
            "VOLUMES": str(tmp_path / "volumes"),
            "TOXIC_ENV_FILE": str(tmp_path / "env"),
            "TOXIC_DATA_DIR": str(tmp_path / "data"),
            "INFERENCE_API_KEYS_FILE": str(tmp_path / "volumes" / "inference" / "keys.txt"),
            "REGISTRY_TEST_TABLE": str(tmp_path / "volumes" / "registry" / "sealed.csv"),
            "YES": "1",
        }
        command = [str(CONTAINERS / "stack"), *arguments]
        return subprocess.run(command, env=environment, check=False, capture_output=True, text=True)

    return run


def test_a_start_without_the_file_of_keys_is_explained(
    stack: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """Inference would only restart again and again."""
    told = stack("up")
    assert told.returncode == 1
    assert "keys.txt, which doesn't exist" in told.stderr
    assert "stack keys add NAME" in told.stderr


def test_a_backup_has_the_evaluations_their_table_and_the_keys(
    stack: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """Without them the gate would demand every evaluation again, and clients would be refused."""
    files = {
        "registry/evaluations/table/contract/evaluation.json": "{}",
        "registry/sealed.csv": "content,toxic",
        "registry/artifacts/model": "weights",
        "inference/keys.txt": "team client digest",
    }
    for name, content in files.items():
        (tmp_path / "volumes" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "volumes" / name).write_text(content, encoding="utf-8")
    assert stack("backup", str(tmp_path / "backup")).returncode == 0
    for name in files:
        (tmp_path / "volumes" / name).unlink()
    told = stack("restore", str(tmp_path / "backup"))
    assert told.returncode == 0, told.stderr
    found = {name: (tmp_path / "volumes" / name).read_text(encoding="utf-8") for name in files}
    assert found == files
