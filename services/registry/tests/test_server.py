import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from toxic_registry.client.registry_client import RegistryClient
from toxic_testing.forking import quick_python
from toxic_testing.ports import free_port
from toxic_testing.registry import PostgresServer, RegistryProcess, Versions, copy_tables

pytestmark = pytest.mark.slow

START_SECONDS = 60
StartRegistry = Callable[..., RegistryProcess]
REGISTRY = (sys.executable, "-m", "toxic_registry")


def get(uri: str, **headers: str) -> tuple[int, str]:
    """Return the status and body of `uri`."""
    try:
        with urllib.request.urlopen(urllib.request.Request(uri, headers=headers)) as answer:  # noqa: S310  ours
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def children(pid: int) -> list[str]:
    """Return the ids of the running child processes of `pid`."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.split()


def test_health_and_page_answer(registry_uri: str) -> None:
    """MLflow answers health probes and browsers."""
    assert get(f"{registry_uri}/health") == (200, "OK")
    status, page = get(registry_uri)
    assert (status, "<html" in page) == (200, True)


def test_a_lost_database_is_named_and_stops_no_liveness_probe(
    start_registry: StartRegistry, tmp_path: Path
) -> None:
    """`/health` stays 200, so that no probe restarts it; `/health/ready` and commands name the cause."""
    server = PostgresServer()
    database = server.new_database("lost", tables=True)
    registry = start_registry({"REGISTRY_STATE_DIR": str(tmp_path), "REGISTRY_BACKEND_STORE_URI": database})
    registry.wait_until_ready()
    assert get(f"{registry.uri}/health/ready") == (200, "OK")
    server.stop()
    status, body = get(f"{registry.uri}/health/ready")
    assert (status, body.splitlines()) == (503, [body])
    assert body.startswith(fault := "The registry's database doesn't answer: ")
    status, body = get(f"{registry.uri}/health")
    assert (status, body[: len(fault)]) == (200, fault)
    told = subprocess.run(
        [*REGISTRY, "history", "--registry-uri", registry.uri],
        capture_output=True, text=True, check=False, timeout=START_SECONDS,
    )  # fmt: skip
    assert told.returncode == 1
    assert "Start the database" in told.stderr
    assert "make serve" not in told.stderr


def test_promotions_and_refusals_are_logged_with_their_actor(
    start_registry: StartRegistry, tmp_path: Path
) -> None:
    """The log has who requested which change, why, and what became of it."""
    uri = copy_tables(tmp_path / "mlflow.db")
    registry = start_registry({"REGISTRY_STATE_DIR": str(tmp_path), "REGISTRY_BACKEND_STORE_URI": uri})
    registry.wait_until_ready()
    versions = Versions(MlflowClient(registry.uri, registry.uri), "toxic-comments", tmp_path / "bundles")
    good, bad = versions.add(), versions.add({"test.toxic.es.auc": 0.5})
    versions.set_champion(good)
    with pytest.raises(MlflowException):
        versions.set_champion(bad)
    registry.stop()
    logged = [json.loads(line) for line in registry.lines if '"alias.' in line]
    assert [(each["event"], each["after"]) for each in logged] == [
        ("alias.accepted", good),
        ("alias.refused", bad),
    ]
    assert all(each["actor"] for each in logged)
    assert "test.toxic.es.auc" in logged[1]["reason"]


def test_unknown_host_is_refused(registry_uri: str) -> None:
    """DNS rebinding from another site's page fails."""
    uri = f"{registry_uri}/api/3.0/mlflow/server-info"
    assert get(uri, Host="evil.example.org")[0] == 403
    assert get(uri)[0] == 200


def test_page_sends_no_usage_statistics(registry_uri: str) -> None:
    """The server tells MLflow's page to keep its telemetry off."""
    _, answer = get(f"{registry_uri}/ajax-api/3.0/mlflow/ui-telemetry")
    assert '"disable_ui_telemetry":true' in answer.replace(" ", "")


def test_artifacts_pass_through_the_server(client: MlflowClient, tmp_path: Path) -> None:
    """Clients upload and download over HTTP, without access to the artifact store."""
    sent = tmp_path / "evidence.txt"
    sent.write_text("as measured", encoding="utf-8")
    run = client.create_run("0")
    client.log_artifact(run.info.run_id, str(sent), "report")
    received = client.download_artifacts(run.info.run_id, "report/evidence.txt", str(tmp_path / ""))
    assert run.info.artifact_uri.startswith("mlflow-artifacts:/")
    assert Path(received).read_text(encoding="utf-8") == "as measured"


def test_ctrl_c_stops_the_server_cleanly(start_registry: StartRegistry, tmp_path: Path) -> None:
    """The server makes its tables, is one process, and stops with status 0 and without a traceback."""
    registry = start_registry({"REGISTRY_STATE_DIR": str(tmp_path)}, REGISTRY)
    registry.wait_until_ready()
    assert children(registry.process.pid) == []
    assert registry.stop(signal.SIGINT) == 0
    assert registry.events()[-1] == "registry.stopped"
    assert "Traceback" not in "".join(registry.lines)


def test_signal_stops_a_starting_server(start_registry: StartRegistry, tmp_path: Path) -> None:
    """The signal doesn't wait for MLflow's import or its tables."""
    registry = start_registry({"REGISTRY_STATE_DIR": str(tmp_path)}, REGISTRY)
    registry.wait_for("registry.starting")
    assert registry.stop(signal.SIGTERM) == 0
    assert "registry.ready" not in registry.events()
    assert "Traceback" not in "".join(registry.lines)


def test_state_survives_a_restart(start_registry: StartRegistry, tmp_path: Path) -> None:
    """A second process on the same folder has the first one's data."""
    first = start_registry({"REGISTRY_STATE_DIR": str(tmp_path)})
    first.wait_until_ready()
    MlflowClient(tracking_uri=first.uri).create_experiment("kept")
    assert first.stop(signal.SIGTERM) == 0
    second = start_registry({"REGISTRY_STATE_DIR": str(tmp_path)})
    second.wait_until_ready()
    assert MlflowClient(tracking_uri=second.uri).get_experiment_by_name("kept") is not None


def test_taken_port_is_a_one_line_error(start_registry: StartRegistry, tmp_path: Path) -> None:
    """The message names the port and its variable."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        registry = start_registry({"REGISTRY_STATE_DIR": str(tmp_path), "REGISTRY_PORT": port})
        assert registry.join() == 1
    assert len(registry.lines) == 1
    assert port in registry.lines[0]
    assert "REGISTRY_PORT" in registry.lines[0]


def test_unusable_state_folder_is_a_one_line_error(start_registry: StartRegistry, tmp_path: Path) -> None:
    """The message names the path and its variable."""
    (tmp_path / "file").touch()
    registry = start_registry({"REGISTRY_STATE_DIR": str(tmp_path / "file" / "state")})
    assert registry.join() == 1
    assert len(registry.lines) == 1
    assert str(tmp_path / "file") in registry.lines[0]
    assert "REGISTRY_STATE_DIR" in registry.lines[0]


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("nonsense", "isn't valid"),
        ("mongodb://db/mlflow", "sqlite, postgresql"),
        ("sqlite:////nowhere/at/all/mlflow.db", "unable to open"),
        ("sqlite:///{folder}/text.db", "not a database"),
        ("postgresql://u:hunter2@127.0.0.1:1/mlflow", "postgresql"),
    ],
)
def test_unusable_database_is_a_one_line_error(
    start_registry: StartRegistry, tmp_path: Path, uri: str, message: str
) -> None:
    """The message has the reason without the password."""
    (tmp_path / "text.db").write_text("This is no database, but long enough to be taken for one." * 20)
    registry = start_registry(
        {"REGISTRY_STATE_DIR": str(tmp_path), "REGISTRY_BACKEND_STORE_URI": uri.format(folder=tmp_path)}
    )
    assert registry.join() == 1
    assert len(registry.lines) == 1
    assert message in registry.lines[0]
    assert "hunter2" not in registry.lines[0]


def test_database_without_an_encoding_is_a_one_line_error(
    start_registry: StartRegistry, tmp_path: Path, postgres: PostgresServer
) -> None:
    """The message has the statement that creates a PostgreSQL database with an encoding."""
    uri = postgres.new_database("ascii", encoding="SQL_ASCII")
    registry = start_registry({"REGISTRY_STATE_DIR": str(tmp_path), "REGISTRY_BACKEND_STORE_URI": uri})
    assert registry.join() == 1
    assert len(registry.lines) == 1
    assert "SQL_ASCII" in registry.lines[0]
    assert "ENCODING 'UTF8'" in registry.lines[0]


def test_invalid_setting_is_a_one_line_error(start_registry: StartRegistry) -> None:
    """The message names the variable."""
    registry = start_registry({"REGISTRY_PORT": "lots"})
    assert registry.join() == 1
    assert len(registry.lines) == 1
    assert "REGISTRY_PORT" in registry.lines[0]


@pytest.fixture
def plain_server(tmp_path: Path) -> Iterator[str]:
    """Run `mlflow server` with our application, and yield its address."""
    port = free_port()
    command = [quick_python("registry"), "-m", "mlflow", "server", "--app-name", "toxic-registry"]
    command += ["--backend-store-uri", copy_tables(tmp_path / "mlflow.db"), "--port", str(port)]
    command += ["--artifacts-destination", str(tmp_path / "artifacts"), "--workers", "1"]
    # MLflow's own jobs would be seven more processes.
    environment = {
        "REGISTRY_PORT": str(port),
        "REGISTRY_STATE_DIR": str(tmp_path),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    process = RegistryProcess(environment, command=command)
    patient = Retry(300, backoff_factor=0.1, backoff_max=1.0)
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(max_retries=patient))
        session.get(f"{process.uri}/health", timeout=START_SECONDS).raise_for_status()
    yield process.uri
    assert process.stop() in {0, -signal.SIGTERM}


def test_mlflow_server_command_has_the_gate_too(plain_server: str, tmp_path: Path) -> None:
    """`mlflow server --app-name toxic-registry` accepts and refuses like `toxic-registry serve`."""
    client = MlflowClient(plain_server, plain_server)
    versions = Versions(client, "toxic-comments", tmp_path / "bundles")
    good, bad = versions.add(), versions.add({"test.toxic.es.auc": 0.5})
    versions.set_champion(good)
    with pytest.raises(MlflowException, match=r"test\.toxic\.es\.auc"):
        versions.set_champion(bad)
    assert versions.aliases() == {"champion": good}
    outcomes = [entry.outcome for entry in RegistryClient(plain_server).ledger().entries]
    assert outcomes == ["accepted", "refused"]


def test_module_runs_every_command() -> None:
    """`python -m toxic_registry` is the command line without its installed script."""
    shown = subprocess.run(
        [sys.executable, "-m", "toxic_registry", "--help"],
        capture_output=True, text=True, check=True, timeout=START_SECONDS,
    ).stdout  # fmt: skip
    assert {"serve", "promote", "rollback", "history", "verify", "champion-at", "versions", "show"} <= set(
        shown.split()
    )


def test_free_port_can_be_bound() -> None:
    """Test servers can listen on it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))
