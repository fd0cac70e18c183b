import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import requests
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from toxic_registry.client.store import RegistryClient
from toxic_testing.registry import PostgresServer, RegistryProcess, Versions, free_port

START_SECONDS = 60
StartRegistry = Callable[[Mapping[str, str]], RegistryProcess]


def get(uri: str, **headers: str) -> tuple[int, str]:
    """Fetch `uri`, whatever its status."""
    try:
        with urllib.request.urlopen(urllib.request.Request(uri, headers=headers)) as answer:  # noqa: S310  ours
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def children(pid: int) -> list[str]:
    """List the ids of the processes that `pid` started and that still run."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.split()


def test_health_and_page_answer(registry_uri: str) -> None:
    """A probe and a person each get MLflow's own answer."""
    assert get(f"{registry_uri}/health") == (200, "OK")
    status, page = get(registry_uri)
    assert (status, "<html" in page) == (200, True)


def test_unknown_host_is_refused(registry_uri: str) -> None:
    """A page of another site that points its name here gets nothing."""
    uri = f"{registry_uri}/api/3.0/mlflow/server-info"
    assert get(uri, Host="evil.example.org")[0] == 403
    assert get(uri)[0] == 200


def test_page_sends_no_usage_statistics(registry_uri: str) -> None:
    """MLflow's page asks its server whether it may report to MLflow's makers, and may not."""
    _, answer = get(f"{registry_uri}/ajax-api/3.0/mlflow/ui-telemetry")
    assert '"disable_ui_telemetry":true' in answer.replace(" ", "")


def test_artifacts_pass_through_the_server(client: MlflowClient, tmp_path: Path) -> None:
    """A client needs no access to the artifact store: files go up and come down over HTTP."""
    sent = tmp_path / "evidence.txt"
    sent.write_text("as measured", encoding="utf-8")
    run = client.create_run("0")
    client.log_artifact(run.info.run_id, str(sent), "report")
    received = client.download_artifacts(run.info.run_id, "report/evidence.txt", str(tmp_path / ""))
    assert run.info.artifact_uri.startswith("mlflow-artifacts:/")
    assert Path(received).read_text(encoding="utf-8") == "as measured"


def test_ctrl_c_ends_it_cleanly(start_registry: StartRegistry, tmp_path: Path) -> None:
    """It runs as one process, which stops with status 0 and without a traceback."""
    registry = start_registry({"REGISTRY_STATE_DIR": str(tmp_path)})
    registry.wait_until_ready()
    assert children(registry.process.pid) == []
    assert registry.stop(signal.SIGINT) == 0
    assert registry.events()[-1] == "registry.stopped"
    assert "Traceback" not in "".join(registry.lines)


def test_signal_ends_it_while_it_starts(start_registry: StartRegistry, tmp_path: Path) -> None:
    """An impatient operator needn't wait for MLflow to be imported and its tables to be made."""
    registry = start_registry({"REGISTRY_STATE_DIR": str(tmp_path)})
    registry.wait_for("registry.starting")
    assert registry.stop(signal.SIGTERM) == 0
    assert "registry.ready" not in registry.events()
    assert "Traceback" not in "".join(registry.lines)


def test_state_survives_a_restart(start_registry: StartRegistry, tmp_path: Path) -> None:
    """Another process on the same folder knows what the first was told."""
    first = start_registry({"REGISTRY_STATE_DIR": str(tmp_path)})
    first.wait_until_ready()
    MlflowClient(tracking_uri=first.uri).create_experiment("kept")
    assert first.stop(signal.SIGTERM) == 0
    second = start_registry({"REGISTRY_STATE_DIR": str(tmp_path)})
    second.wait_until_ready()
    assert MlflowClient(tracking_uri=second.uri).get_experiment_by_name("kept") is not None


def test_taken_port_is_one_clear_line(start_registry: StartRegistry, tmp_path: Path) -> None:
    """The message names the port and the variable that changes it."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        registry = start_registry({"REGISTRY_STATE_DIR": str(tmp_path), "REGISTRY_PORT": port})
        assert registry.join() == 1
    assert len(registry.lines) == 1
    assert port in registry.lines[0]
    assert "REGISTRY_PORT" in registry.lines[0]


def test_unusable_state_folder_is_one_clear_line(start_registry: StartRegistry, tmp_path: Path) -> None:
    """A file where the folder should be is named, with the variable."""
    (tmp_path / "file").touch()
    registry = start_registry({"REGISTRY_STATE_DIR": str(tmp_path / "file" / "state")})
    assert registry.join() == 1
    assert len(registry.lines) == 1
    assert str(tmp_path / "file") in registry.lines[0]
    assert "REGISTRY_STATE_DIR" in registry.lines[0]


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("nonsense", "isn't one"),
        ("mongodb://db/mlflow", "sqlite, postgresql"),
        ("sqlite:////nowhere/at/all/mlflow.db", "unable to open"),
        ("sqlite:///{folder}/text.db", "not a database"),
        ("postgresql://u:hunter2@127.0.0.1:1/mlflow", "postgresql"),
    ],
)
def test_bad_database_address_is_one_clear_line(
    start_registry: StartRegistry, tmp_path: Path, uri: str, told: str
) -> None:
    """The message says what is wrong, and never the password."""
    (tmp_path / "text.db").write_text("This is no database, but long enough to be taken for one." * 20)
    registry = start_registry(
        {"REGISTRY_STATE_DIR": str(tmp_path), "REGISTRY_BACKEND_STORE_URI": uri.format(folder=tmp_path)}
    )
    assert registry.join() == 1
    assert len(registry.lines) == 1
    assert told in registry.lines[0]
    assert "hunter2" not in registry.lines[0]


def test_database_without_an_encoding_is_one_clear_line(
    start_registry: StartRegistry, tmp_path: Path, postgres: PostgresServer
) -> None:
    """A PostgreSQL that was made under the C locale is refused, with how to make one that does."""
    uri = postgres.new_database("ascii", encoding="SQL_ASCII")
    registry = start_registry({"REGISTRY_STATE_DIR": str(tmp_path), "REGISTRY_BACKEND_STORE_URI": uri})
    assert registry.join() == 1
    assert len(registry.lines) == 1
    assert "SQL_ASCII" in registry.lines[0]
    assert "ENCODING 'UTF8'" in registry.lines[0]


def test_bad_setting_is_one_clear_line(start_registry: StartRegistry) -> None:
    """The message names the variable."""
    registry = start_registry({"REGISTRY_PORT": "lots"})
    assert registry.join() == 1
    assert len(registry.lines) == 1
    assert "REGISTRY_PORT" in registry.lines[0]


@pytest.fixture
def plain_server(tmp_path: Path) -> Iterator[str]:
    """Run MLflow's own command with our application, and give its address once it answers."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "toxic-registry", "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db", "--port", str(port)]
    command += ["--artifacts-destination", str(tmp_path / "artifacts")]
    process = RegistryProcess({"REGISTRY_PORT": str(port)}, command=command)
    patient = Retry(100, backoff_factor=0.1, backoff_max=1.0)
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(max_retries=patient))
        session.get(f"{process.uri}/health", timeout=START_SECONDS).raise_for_status()
    yield process.uri
    assert process.stop() in {0, -signal.SIGTERM}


def test_mlflows_own_command_stands_behind_the_gate_too(plain_server: str, tmp_path: Path) -> None:
    """`mlflow server --app-name toxic-registry` refuses and accepts as our own command does."""
    client = MlflowClient(plain_server, plain_server)
    versions = Versions(client, "toxic-comments", tmp_path / "bundles")
    good, bad = versions.add(), versions.add({"test.toxic.es.auc": 0.5})
    versions.set_champion(good)
    with pytest.raises(MlflowException, match=r"test\.toxic\.es\.auc"):
        versions.set_champion(bad)
    assert versions.aliases() == {"champion": good}
    outcomes = [entry.change.outcome for entry in RegistryClient(plain_server).ledger().entries]
    assert outcomes == ["accepted", "refused"]


def test_module_runs_every_command() -> None:
    """`python -m toxic_registry` is the command line too, where no script is installed."""
    shown = subprocess.run(
        [sys.executable, "-m", "toxic_registry", "--help"],
        capture_output=True, text=True, check=True, timeout=START_SECONDS,
    ).stdout  # fmt: skip
    assert {"serve", "promote", "rollback", "history", "verify", "champion-at", "versions", "show"} <= set(
        shown.split()
    )


def test_free_ports_are_free() -> None:
    """What the tests start on can be listened on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))
