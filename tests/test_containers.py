"""What can be known of the images and the compose file without building or starting them."""

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import cast

import pytest
import yaml
from pydantic_settings import BaseSettings

from toxic_core.telemetry import TELEMETRY_OFF
from toxic_inference.otel.settings import OtelSettings
from toxic_inference.settings import Settings as InferenceSettings
from toxic_registry.settings import Settings as RegistrySettings
from toxic_testing.compose import (
    COMPOSE,
    COMPOUND_SECRETS,
    CONTAINERS,
    EXAMPLE,
    ROOT,
    compose_services,
    environment_of,
    secrets_of,
)
from toxic_training.server.settings import Settings as TrainingSettings

SERVICES = ("inference", "registry", "training")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
DROP_IN = ROOT / "infra" / "perspective-drop-in"


def _stages() -> dict[str, str]:
    """Return the stages of the Dockerfile by their names."""
    return dict(re.findall(r"(?ms)^FROM \S+ AS (\S+)\n(.*?)(?=^FROM |\Z)", DOCKERFILE))


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


@pytest.mark.parametrize("stage", ["runtime", *SERVICES])
def test_what_an_image_has_of_the_checkout_is_readable_by_its_user(stage: str) -> None:
    """Whatever umask the checkout was made with: COPY keeps modes. Build stages run as root."""
    text = _stages()[stage]
    for copied in re.finditer(r"(?m)^COPY (?!--from)\S+ (\S+)$", text):
        opened = re.findall(r"chmod -R a\+rX (\S+)", text[copied.end() :])
        assert any(PurePosixPath(copied[1]).is_relative_to(folder) for folder in opened), copied[0]


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
    """.env.example has exactly the variables that the compose file reads, and those of its secrets."""
    read = set(re.findall(r"\$\{(\w+)", COMPOSE)) - {"TOXIC_REVISION", "TOXIC_SECRETS_DIR"}
    read |= yaml.safe_load(COMPOSE)["secrets"].keys() - COMPOUND_SECRETS
    passed = {name for _, name in _passed_through()}
    explained = set(re.findall(r"(?m)^#?(\w+)=", EXAMPLE.read_text(encoding="utf-8")))
    assert read <= explained
    own = {"COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES", "REGISTRY_MORE_USERS"}
    assert explained - read <= passed | own


def _passed_through() -> set[tuple[str, str]]:
    """Return each service with the settings that reach it from .env under their own name."""
    values = {
        (name, key)
        for name in compose_services()
        for key, value in environment_of(name).items()
        if value is None
    }
    files = {
        (name, key)
        for name in compose_services()
        for key, source in secrets_of(name).items()
        if key == source
    }
    return values | files


FIXED = {
    "inference": "HOST PORT CACHE_DIR STATE_DIR ALLOW_UNAUTHENTICATED JOBS_URL GRPC_PORT REGISTRY_URI "
    "MODEL_DIRECTORY EVENT_SECRET SHUTDOWN_GRACE_SECONDS",
    "registry": "HOST PORT STATE_DIR BACKEND_STORE_URI ALLOWED_HOSTS TRUSTED_KEYS_FILE USERS EVENT_URLS "
    "EVENT_SECRET GATE_FILE",
    "training": "HOST PORT STATE_DIR MLFLOW_PAGE ALERT_TOKEN TOKEN",
}
"""What the stack sets itself; the gate's file has a line of its own."""


@pytest.mark.parametrize(
    ("service", "settings"),
    [("inference", InferenceSettings), ("registry", RegistrySettings), ("training", TrainingSettings)],
)
def test_every_documented_setting_reaches_its_container(service: str, settings: type[BaseSettings]) -> None:
    """What docs/settings.md lists can be set in .env; `KEY:` without a value passes it on, if it is set."""
    prefix = settings.model_config["env_prefix"]
    fixed = {prefix + name for name in FIXED[service].split()}
    documented = {prefix + name.upper() for name in settings.model_fields}
    assert fixed <= documented
    passed = {name for where, name in _passed_through() if where == service and name.startswith(prefix)}
    assert passed - fixed == documented - fixed


OF_OPENTELEMETRYS_SDK = {
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_COMPRESSION",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_RESOURCE_ATTRIBUTES",
}
"""What docs/watch.md names and the service doesn't read itself."""


def test_the_standard_variables_of_opentelemetry_reach_inference() -> None:
    """Those of docs/settings.md, and those that the SDK reads."""
    documented = {f"OTEL_{name.upper()}" for name in OtelSettings.model_fields}
    passed = {name for where, name in _passed_through() if where == "inference" and name.startswith("OTEL_")}
    assert passed == documented | OF_OPENTELEMETRYS_SDK


def test_both_replicas_have_the_same_settings() -> None:
    """The second one differs by its folders, and by the owner of the jobs."""
    one, other = (compose_services()[name] for name in ("inference", "inference-2"))
    first, second = (cast("dict[str, object]", each["environment"]) for each in (one, other))
    own = {"INFERENCE_JOBS_URL", "INFERENCE_CACHE_DIR", "INFERENCE_STATE_DIR"}
    assert {name for name in first.keys() | second.keys() if first.get(name) != second.get(name)} <= own
    assert second.keys() - first.keys() == own
    differing = {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}
    assert differing == {"profiles", "environment", "networks", "ports"}


def test_a_default_is_the_same_in_both_files() -> None:
    """Whether .env was made a release ago or not at all, the stack is the same one."""
    example = dict(re.findall(r"(?m)^(\w+)=(.*)$", EXAMPLE.read_text(encoding="utf-8")))
    optional = {
        ("TOXIC_REVISION", "unknown"),
        ("PROMETHEUS_SCRAPE_INFERENCE", "inference:8001"),
        ("TOXIC_SECRETS_DIR", ".env.secrets"),
    }
    defaults = set(re.findall(r"\$\{(\w+):-([^}]*)\}", COMPOSE)) - optional
    assert {(name, example[name]) for name, _ in defaults} == defaults


USERS_OF_IMAGES = {*SERVICES, "inference-2", "notices", "prometheus", "alertmanager", "grafana"}
"""Services whose image names a user that isn't root."""


def _drop_in() -> dict[str, dict[str, object]]:
    """Return the services that the Compose file of the drop-in adds."""
    file = (DROP_IN / "docker-compose.yml").read_text(encoding="utf-8")
    services = cast("dict[str, dict[str, object]]", yaml.safe_load(file)["services"])
    return {name: service for name, service in services.items() if name not in compose_services()}


def test_containers_can_write_to_their_volumes_only() -> None:
    """No root, a read-only root folder, no way to get a capability. PostgreSQL's image starts as root."""
    for name, service in {**compose_services(), **_drop_in()}.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        if name != "postgres":
            assert service["read_only"] is True, name
            assert set(cast("list[str]", service.get("cap_add", []))) <= {"NET_BIND_SERVICE"}, name
            assert (service.get("user") == "10001:10001") is (name not in USERS_OF_IMAGES), name


def test_the_proxy_of_the_drop_in_can_read_its_key(tmp_path: Path) -> None:
    """As another user than the owner, who alone can open the folder; the authority's key stays private."""
    copy = shutil.copy(DROP_IN / "make-certificates.sh", tmp_path)
    for folder, arguments, mode in (("certificates", [], 0o644), ("other", [str(tmp_path / "other")], 0o600)):
        subprocess.run([copy, *arguments], check=True, capture_output=True)
        found = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / folder).iterdir()}
        assert found == {"ca.crt": 0o644, "ca.key": 0o600, "server.crt": 0o644, "server.key": mode}
        assert (tmp_path / folder).stat().st_mode & 0o777 == 0o700


def test_every_container_has_a_limit_and_comes_back() -> None:
    """One that leaks or spins takes neither the others nor the machine with it."""
    for name, service in {**compose_services(), **_drop_in()}.items():
        assert {"mem_limit", "cpus", "restart", "pids_limit"} <= service.keys(), name
        assert service["cap_drop"] == ["ALL"], name


def test_every_container_reports_its_health() -> None:
    """`docker compose ps` shows it, and `make up` waits for it; ours have a check in their image."""
    without = {name for name, service in compose_services().items() if "healthcheck" not in service}
    assert without == {*SERVICES, "inference-2"}


def test_the_proxy_of_the_drop_in_reports_its_health() -> None:
    """Caddy answers the check itself, on an address that only its container reaches."""
    check = str(_drop_in()["perspective"]["healthcheck"])
    (address,) = set(re.findall(r"(http://[\w.:]+)/health", check))
    site = rf"{re.escape(address)} \{{\n\tbind 127\.0\.0\.1\n\trespond /health OK\n\}}"
    assert re.search(site, (DROP_IN / "Caddyfile").read_text(encoding="utf-8"))


def test_only_what_a_person_opens_is_published_and_on_this_machine() -> None:
    """TOXIC_BIND changes that for what clients call, and TOXIC_ADMIN_BIND for what operators open."""
    for name, service in compose_services().items():
        ports = cast("list[str]", service.get("ports", []))
        networks = cast("list[str]", service["networks"])
        # notices opens connections only, to a chat.
        assert name == "notices" or bool({"published", "outside"} & set(networks)) == bool(ports), name
        bind = "TOXIC_BIND" if name in {"inference", "proxy"} else "TOXIC_ADMIN_BIND"
        assert all(port.startswith(f"${{{bind}:-127.0.0.1}}:") for port in ports), name
    assert not {"postgres", "training"} & {
        name for name, service in compose_services().items() if "ports" in service
    }
    assert yaml.safe_load(COMPOSE)["networks"]["inside"]["internal"] is True


def test_only_what_sees_no_comment_reaches_the_outside() -> None:
    """Alerts and figures may be wanted elsewhere; texts stay."""
    outside = {name for name, service in compose_services().items() if "outside" in str(service["networks"])}
    assert outside == {"prometheus", "alertmanager", "notices"}


def test_the_training_server_asks_other_containers_for_a_token() -> None:
    """`make up` makes it, apart from that of alerts."""
    assert secrets_of("training")["TRAINING_TOKEN"] == "TRAINING_TOKEN"
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
    shell = cast("list[str]", compose_services()["inference"]["command"])
    command = [word.replace("$$", "$") for word in shell]
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "TOXIC_BIND": bind}
    told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    assert told == f"[{allowed}]\n"


@pytest.mark.parametrize(("hosts", "passed"), [("scores.example", "scores.example,inference"), ("", "")])
def test_other_containers_reach_inference_by_its_name_too(tmp_path: Path, hosts: str, passed: str) -> None:
    """INFERENCE_ALLOWED_HOSTS lists what clients use; the registry's messages and the jobs stay possible."""
    (tmp_path / "python").write_text('#!/bin/sh\necho "[$INFERENCE_ALLOWED_HOSTS]"\n', encoding="utf-8")
    (tmp_path / "python").chmod(0o755)
    shell = cast("list[str]", compose_services()["inference"]["command"])
    command = [word.replace("$$", "$") for word in shell]
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "INFERENCE_ALLOWED_HOSTS": hosts}
    told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    assert told == f"[{passed}]\n"


def test_no_secret_is_in_an_environment() -> None:
    """`docker inspect` shows environments. A variable names the file of a secret at most."""
    declared = yaml.safe_load(COMPOSE)["secrets"].keys()
    secrets = {*declared, "REGISTRY_MORE_USERS"}
    assert set(re.findall(r"(?m)^(\w+)=change-me$", EXAMPLE.read_text(encoding="utf-8"))) <= declared
    for name, service in compose_services().items():
        assert not secrets & set(re.findall(r"\$\{?(\w+)", str(service))), name
        assert not {*secrets, *secrets_of(name)} & environment_of(name).keys(), name
        named = {
            value for value in environment_of(name).values() if (value or "").startswith("/run/secrets/")
        }
        assert named <= {f"/run/secrets/{target}" for target in secrets_of(name)}, name


def test_a_container_has_the_secrets_that_it_uses() -> None:
    """Those that are used by one service are mounted in one; both replicas have the same."""
    users: dict[str, set[str]] = {}
    for name in compose_services():
        for source in secrets_of(name).values():
            users.setdefault(source, set()).add(name.removesuffix("-2"))
    assert users.keys() == yaml.safe_load(COMPOSE)["secrets"].keys()
    shared = {name: services for name, services in users.items() if len(services) > 1}
    assert shared == {"EVENT_SECRET": {"registry", "inference"}, "ALERT_TOKEN": {"training", "alertmanager"}}
    assert secrets_of("inference") == secrets_of("inference-2")


PROGRAMS = {
    "toxic_inference.__main__": ["toxic-inference", "keys", "list"],
    "toxic_registry.cli": ["toxic-registry", "versions"],
    "toxic_training.__main__": ["toxic-training", "run"],
}


@pytest.mark.parametrize("module", PROGRAMS)
def test_every_program_reads_its_secrets_first(tmp_path: Path, module: str) -> None:
    """One that can't be read ends it with one line; the others are variables of its environment."""
    (tmp_path / "SHOP_TOKEN").write_bytes(b"\xff")
    code = (
        "import pathlib, sys, toxic_core.settings\n"
        f"toxic_core.settings.SECRETS = pathlib.Path({str(tmp_path)!r})\n"
        f"sys.argv = {PROGRAMS[module]!r}\n"
        f"from {module} import main\n"
        "main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert f"The secret {tmp_path / 'SHOP_TOKEN'} can't be read" in line


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
