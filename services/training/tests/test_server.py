"""Real processes: signals to a run, and the server over HTTP."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from toxic_testing.forking import quick_python
from toxic_testing.ports import free_port
from toxic_testing.registry import copy_tables

pytestmark = [pytest.mark.slow, pytest.mark.e2e]

PATIENCE_SECONDS = 240
LONG_TRAINING = {
    "pipeline_names": ["data_processing", "modelling"],
    "params": {"modelling": {"epochs": 1000, "max_train_minutes": 30}},
}


def _eventually(is_so: Callable[[], bool]) -> None:
    for _ in range(PATIENCE_SECONDS * 10):
        if is_so():
            return
        threading.Event().wait(0.1)
    pytest.fail(f"condition not met within {PATIENCE_SECONDS} s")


@dataclass(frozen=True, slots=True)
class Server:
    """The training server, started by the tests."""

    process: subprocess.Popen[bytes]
    http: httpx.Client
    mlflow: MlflowClient

    def is_up(self) -> bool:
        """Return whether it answers."""
        assert self.process.poll() is None
        try:
            return self.http.get("/health").is_success
        except httpx.ConnectError:
            return False

    def is_training(self) -> bool:
        """Return whether the newest run has reached the training."""
        runs = self.http.get("/runs").json()
        assert not runs or runs[0]["error"] is None
        return bool(runs) and runs[0]["status"] == "running" and runs[0]["node"] == "train classifier"

    def runs(self) -> list[Run]:
        """Return MLflow's runs."""
        experiment = self.mlflow.get_experiment_by_name("toxic-comments")
        assert experiment is not None
        return list(self.mlflow.search_runs([experiment.experiment_id]))


def _run(*options: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    command = (quick_python("training"), "-m", "toxic_training", "run", *options)
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def _environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "MLFLOW_REGISTRY_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "TOXIC_DEMO_DIR": str(folder / "data"),
        "TF_NUM_INTRAOP_THREADS": "1",
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for one MLflow database and one demo's data."""
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def mlflow(folder: Path) -> MlflowClient:
    """Return a client of that database, created before two processes try to create it."""
    client = MlflowClient(copy_tables(folder / "mlflow.db"))
    client.search_experiments()
    return client


@pytest.fixture(scope="module")
def server(folder: Path, mlflow: MlflowClient) -> Iterator[Server]:
    """Start the server on a free port and wait until it answers."""
    port = free_port()
    command = [
        quick_python("training"),
        "-m",
        "toxic_training",
        "server",
        "start",
        "--port",
        str(port),
        "--env",
        "demo",
    ]
    address = f"http://127.0.0.1:{port}"
    with (
        subprocess.Popen(command, env=_environment(folder)) as process,
        httpx.Client(base_url=address, trust_env=False, timeout=PATIENCE_SECONDS) as http,
    ):
        started = Server(process, http, mlflow)
        try:
            _eventually(started.is_up)
            yield started
        finally:
            process.terminate()
            process.wait(30)


def test_a_run_answers_with_its_address_in_mlflow_and_refuses_others(server: Server) -> None:
    """`POST /run` blocks; another request meanwhile gets 409 with the run; afterwards the run is listed."""
    with ThreadPoolExecutor(1) as client:
        blocking = client.submit(server.http.post, "/run", json={"pipeline_names": ["data_processing"]})
        _eventually(lambda: bool(server.http.get("/runs").json()))
        refused = server.http.post("/runs", json={"pipeline_names": ["modelling"]})
        answer = blocking.result().json()
    assert refused.status_code == 409
    assert refused.json()["error"]["code"] == "run_in_progress"
    assert refused.json()["run"]["run_id"] == answer["run_id"]
    assert answer["status"] == "success", answer
    assert answer["step"] == answer["steps"] > 0
    assert answer["mlflow_run_url"].endswith(f"/runs/{answer['mlflow_run_id']}")
    assert server.mlflow.get_run(answer["mlflow_run_id"]).info.status == "FINISHED"
    assert [run["run_id"] for run in server.http.get("/runs").json()] == [answer["run_id"]]


def test_an_unknown_pipeline_is_an_error(server: Server) -> None:
    """The run fails before its first node, and the message suggests a name."""
    answer = server.http.post("/run", json={"pipeline_names": ["modeling"]}).json()
    assert answer["status"] == "failure"
    assert "modelling" in answer["error"]["message"]


def test_an_invalid_request_is_refused(server: Server) -> None:
    """Kedro's validation applies: a misspelt field is an error, not a default."""
    assert server.http.post("/run", json={"pipelines": ["modelling"]}).status_code == 422
    assert server.http.get("/runs/none").json()["error"]["code"] == "unknown_run"


def test_a_started_run_locks_its_files_and_can_be_stopped(server: Server, folder: Path) -> None:
    """`POST /runs` answers at once; a stopped run is KILLED; `kedro run` on the same files is refused."""
    started = server.http.post("/runs", json=LONG_TRAINING)
    assert started.status_code == 202
    run = started.headers["location"]
    _eventually(server.is_training)
    runs = len(server.runs())
    second = _run("--pipelines", "modelling", "--env", "demo", environment=_environment(folder))
    assert "Another run is writing" in second.stderr, second.stderr
    assert second.returncode == 1
    assert len(server.runs()) == runs, "a run that can't start must not appear in MLflow"
    assert server.http.delete(run).status_code == 202
    _eventually(lambda: server.http.get(run).json()["status"] == "stopped")
    assert server.mlflow.get_run(server.http.get(run).json()["mlflow_run_id"]).info.status == "KILLED"


def test_the_server_ends_its_run(server: Server) -> None:
    """On SIGTERM a waiting client gets its answer, MLflow's run is KILLED, and the server exits."""
    with ThreadPoolExecutor(1) as client:
        blocking = client.submit(server.http.post, "/run", json=LONG_TRAINING)
        _eventually(server.is_training)
        server.process.send_signal(signal.SIGTERM)
        answer = blocking.result().json()
    assert answer["status"] == "stopped"
    assert server.mlflow.get_run(answer["mlflow_run_id"]).info.status == "KILLED"
    server.process.wait(30)


@pytest.mark.usefixtures("server")
def test_a_signal_to_a_run_ends_it_in_mlflow(folder: Path, mlflow: MlflowClient) -> None:
    """SIGTERM to `kedro run` during training marks the run KILLED in MLflow and prints that."""
    options = ["--pipelines", "modelling", "--env", "demo", "--params", "modelling.epochs=1000"]
    with subprocess.Popen(
        [quick_python("training"), "-m", "toxic_training", "run", *options],
        env=_environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if "train classifier" in line)
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
    assert "is marked KILLED" in rest
    assert process.returncode == 128 + signal.SIGTERM
    experiment = mlflow.get_experiment_by_name("toxic-comments")
    assert experiment is not None
    assert mlflow.search_runs([experiment.experiment_id], max_results=1)[0].info.status == "KILLED"
