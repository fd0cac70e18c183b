"""This release on the volumes of release 0.1's stack, as after `git pull` and `make up`.

The tests build on one another, in this order.
"""

import json
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from mlflow.tracking import MlflowClient

from toxic_core.signatures import SigningKey
from toxic_testing.forking import quick_python
from toxic_testing.inference.process import Server
from toxic_testing.ports import free_port
from toxic_testing.registry import PostgresServer, RegistryProcess

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
ARCHIVE = Path(__file__).parent / "data" / "volumes-0.1.tar.xz"
"""Made by `make_old_volumes.py` in the same folder."""
MODEL = "toxic-comments"
SIGN_IN = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": "of-the-admin"}
USERS = "admin:of-the-admin override,training:of-training writer,inference:of-inference reader"
ALERT = {
    "status": "firing",
    "labels": {"alertname": "ScoreDrift", "action": "retrain"},
    "startsAt": "2026-11-28T08:00:00Z",
    "fingerprint": "0123456789abcdef",
}
PATIENCE_SECONDS = 600


@dataclass
class Stack:
    """This release's services on copies of the volumes.

    Attributes:
        folder: the volumes, in a folder each.
        database: address of the server of PostgreSQL, and the database in it.
        expected: what release 0.1 answered.
    """

    folder: Path
    database: str
    expected: dict[str, Any]
    registry_port: int = field(default_factory=free_port)
    inference_port: int = field(default_factory=free_port)
    training_port: int = field(default_factory=free_port)
    _started: list[Callable[[], object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.registry_uri = f"http://127.0.0.1:{self.registry_port}"
        self.inference = httpx.Client(
            base_url=f"http://127.0.0.1:{self.inference_port}", timeout=60, trust_env=False
        )

    def start_registry(self) -> RegistryProcess:
        """Start the registry with the settings of docker-compose.yml."""
        key = SigningKey.read_or_create(self.folder / "training" / "state" / "signing-key")
        (self.folder / "registry" / "trusted-keys").write_text(f"{key.public} training\n")
        process = RegistryProcess(
            {
                "REGISTRY_PORT": str(self.registry_port),
                "REGISTRY_STATE_DIR": str(self.folder / "registry"),
                "REGISTRY_BACKEND_STORE_URI": self.database,
                "REGISTRY_GATE_FILE": "default",
                "REGISTRY_EVENT_URLS": f"http://127.0.0.1:{self.inference_port}/events",
                "REGISTRY_EVENT_SECRET": "of the events",
                "REGISTRY_USERS": USERS,
                "REGISTRY_TRUSTED_KEYS_FILE": str(self.folder / "registry" / "trusted-keys"),
            }
        )
        self._started.append(process.kill)
        process.wait_until_ready()
        return process

    def start_inference(self) -> Server:
        """Start the inference service; the image's only runtime is OpenVINO."""
        environment = {
            "INFERENCE_PORT": str(self.inference_port),
            "INFERENCE_REGISTRY_URI": self.registry_uri,
            "INFERENCE_CACHE_DIR": str(self.folder / "inference" / "cache"),
            "INFERENCE_STATE_DIR": str(self.folder / "inference" / "state"),
            "INFERENCE_EVENT_SECRET": "of the events",
            "INFERENCE_RUNTIME": "openvino",
            "MLFLOW_TRACKING_USERNAME": "inference",
            "MLFLOW_TRACKING_PASSWORD": "of-inference",
        }
        return self._start("inference", "toxic_inference", environment=environment)

    def start_training(self) -> Server:
        """Start the training server."""
        environment = {"TRAINING_PORT": str(self.training_port), "TRAINING_ALERT_TOKEN": "of-alerts"}
        return self._start("training", "toxic_training", "server", "start", environment=environment)

    def _start(self, kind: str, *module: str, environment: dict[str, str]) -> Server:
        server = Server(
            ("-m", *module),
            environment=self._training() | environment,
            folder=self.folder,
            python=quick_python(kind),
        )
        self._started.append(server.kill)
        return server

    def _training(self) -> dict[str, str]:
        return {
            "MLFLOW_TRACKING_URI": self.registry_uri,
            "MLFLOW_TRACKING_USERNAME": "training",
            "MLFLOW_TRACKING_PASSWORD": "of-training",
            "TOXIC_SIGNING_KEY_FILE": str(self.folder / "training" / "state" / "signing-key"),
            "TOXIC_DATA_DIR": str(self.folder / "training"),
            "TRAINING_STATE_DIR": str(self.folder / "training" / "state"),
        }

    def train(self, *arguments: str) -> None:
        """Run a command of the training container."""
        subprocess.run(
            [quick_python("training"), "-m", "toxic_training", *arguments],
            env=os.environ | self._training(),
            check=True,
            timeout=PATIENCE_SECONDS,
        )

    def command(self, *arguments: str) -> tuple[int, str]:
        """Run a command of the registry's container as its admin; return its status and output."""
        done = subprocess.run(
            [
                quick_python("registry"),
                "-m",
                "toxic_registry",
                *arguments,
                "--registry-uri",
                self.registry_uri,
            ],
            env=os.environ | SIGN_IN,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        return done.returncode, done.stdout

    def served(self) -> str | None:
        """Return the version that is ready, if any."""
        try:
            version: str | None = self.inference.get("/health/ready").json().get("model_version")
        except httpx.TransportError:
            return None
        return version

    def end(self) -> None:
        """End every service."""
        self.inference.close()
        for kill in reversed(self._started):
            kill()


def eventually(is_so: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.2)


def answers(address: str) -> bool:
    """Return whether a server answers."""
    try:
        return httpx.get(address, timeout=60, trust_env=False).is_success
    except httpx.TransportError:
        return False


def load_database(server: PostgresServer, dump: str) -> str:
    """Load the dump, whose superuser is `registry`, set the roles as `make up` does; return the address."""
    address = server.new_database("registry")
    with psycopg.connect(address) as connection:
        connection.execute(dump.encode())
    host, _, port = server.host.partition(":")
    subprocess.run(
        ["bash", str(ROOT / "infra" / "kubernetes" / "base" / "database-roles.sh")],
        env={
            "PATH": f"{Path(shutil.which('psql') or '').parent}:/usr/bin:/bin",
            "PGHOST": host,
            "PGPORT": port,
            "POSTGRES_USER": "registry",
            "REGISTRY_DB_PASSWORD": "of-registry",
            "INFERENCE_DB_PASSWORD": "of-inference",
        },
        check=True,
    )
    return f"postgresql+psycopg://registry:of-registry@{server.host}/registry"


def keep_job(state: Path, job: str) -> None:
    """Move a finished job's end into the future: the volumes are older than a day."""
    record = state / "jobs" / job / "job.json"
    fields = json.loads(record.read_bytes())
    fields["expires_at"] = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    record.write_text(json.dumps(fields))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Unpack the volumes, and start the registry and the inference service on them."""
    folder = tmp_path_factory.mktemp("volumes")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    (folder / "registry").mkdir()
    (folder / "artifacts").rename(folder / "registry" / "artifacts")
    expected = json.loads((folder / "expected.json").read_bytes())
    keep_job(folder / "inference" / "state", expected["jobs"]["done"])
    server = PostgresServer()
    stack = Stack(folder, load_database(server, (folder / "registry.sql").read_text("utf-8")), expected)
    try:
        stack.start_registry()
        stack.start_inference()
        yield stack
    finally:
        stack.end()
        server.stop()


@pytest.fixture
def client(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """MLflow's client, signed in as the admin."""
    for name, value in SIGN_IN.items():
        monkeypatch.setenv(name, value)
    return MlflowClient(stack.registry_uri, stack.registry_uri)


def test_the_ledger_verifies_and_versions_aliases_and_runs_are_kept(
    stack: Stack, client: MlflowClient
) -> None:
    """Nothing of the registry's database is lost, and `make up` finds the champion."""
    aliases = client.get_registered_model(MODEL).aliases
    assert {alias: int(number) for alias, number in aliases.items()} == {
        alias: int(number) for alias, number in stack.expected["aliases"].items()
    }
    found = {
        str(version.version): client.get_run(str(version.run_id)).data.metrics
        for version in client.search_model_versions(f"name = '{MODEL}'")
    }
    assert found.keys() == stack.expected["versions"].keys()
    for number, metrics in stack.expected["versions"].items():
        assert found[number] == pytest.approx(metrics, nan_ok=True)
    status, told = stack.command("verify")
    assert status == 0, told
    assert f"intact: {len(stack.expected['ledger'])} entries" in told
    assert stack.command("champion-at", datetime.now(UTC).isoformat())[1].strip() == "1"


def test_the_champion_is_served_with_the_scores_of_before(stack: Stack) -> None:
    """Its content is approved by the row of the ledger that made it champion."""
    eventually(lambda: stack.served() is not None)
    assert stack.served() == "1"
    before = stack.expected["scores"]
    texts = stack.expected["texts"]
    answer = stack.inference.post("/predict", json={"texts": texts, "identify_language": False}).json()
    assert answer["model_version"] == before["model_version"] == "1"
    for now, then in zip(answer["results"], before["results"], strict=True):
        assert now["scores"] == pytest.approx(then["scores"], abs=0.01)
    approved = 'toxic_inference_version_approved{version="1"} 1.0'
    assert approved in stack.inference.get("/metrics").text


def test_every_correction_is_exported(stack: Stack) -> None:
    """In order, with every field that release 0.1 exported."""
    lines = stack.inference.get("/feedback", params={"format": "ndjson"}).text.splitlines()
    found = [json.loads(line) for line in lines]
    before = stack.expected["feedback"]
    assert [{name: row[name] for name in old} for row, old in zip(found, before, strict=True)] == before


def test_jobs_keep_their_results_and_an_interrupted_one_ends(stack: Stack) -> None:
    """A finished job's result is as before; the one that was running is scored to its last row."""
    jobs = stack.expected["jobs"]
    assert stack.inference.get(f"/jobs/{jobs['done']}/result").text == jobs["result"]

    def state() -> str:
        return str(stack.inference.get(f"/jobs/{jobs['interrupted']}").json()["state"])

    eventually(lambda: state() in {"done", "failed"})
    assert state() == "done"
    result = stack.inference.get(f"/jobs/{jobs['interrupted']}/result").text.splitlines()
    assert [line.partition(",")[0] for line in result] == ["id", *map(str, range(jobs["rows"]))]


def test_an_alert_that_release_0_1_handled_starts_no_second_training(stack: Stack) -> None:
    """The training server remembers the runs that alerts started."""
    server = stack.start_training()
    training = f"http://127.0.0.1:{stack.training_port}"
    eventually(lambda: answers(f"{training}/health"))
    answer = httpx.post(
        f"{training}/alerts",
        json={"version": "4", "alerts": [ALERT]},
        headers={"Authorization": "Bearer of-alerts"},
        timeout=60,
        trust_env=False,
    )
    assert answer.json()["refusal"] == "duplicate"
    server.terminate()


def test_the_champion_before_returns(stack: Stack) -> None:
    """`make rollback` finds release 0.1's previous champion, and the service switches to it."""
    status, told = stack.command("rollback", "--reason", "a test", "--actor", "ann")
    assert status == 0, told
    eventually(lambda: stack.served() == "2")


def test_a_version_that_was_never_champion_is_refused_because_it_has_no_signature(
    stack: Stack, client: MlflowClient
) -> None:
    """The stack's gate accepts only bundles that training signed, which release 0.1 didn't do."""
    trained = client.get_model_version(MODEL, "2")
    logged = str(trained.source).removeprefix("models:/")
    again = client.create_model_version(MODEL, str(trained.source), trained.run_id, model_id=logged)
    status, told = stack.command("promote", str(again.version), "--reason", "a test", "--actor", "ann")
    assert status == 1
    assert "It isn't signed." in told


def test_the_shipped_model_is_adopted_and_served(stack: Stack) -> None:
    """`make adopt-baseline` replaces the champion of release 0.1, and `make rollback` brings it back."""
    stack.train("run", "--pipelines", "baseline")
    status, told = stack.command("adopt-baseline", "--reason", "the new release", "--actor", "ann")
    assert status == 0, told
    eventually(lambda: stack.served() not in {None, "2"})
    answer = stack.inference.post("/predict", json={"texts": ["Only an idiot would write this."]}).json()
    assert answer["results"][0]["decisions"]["toxic"]
    assert answer["model_version"] == stack.served()
    status, told = stack.command("rollback", "--reason", "a test", "--actor", "ann")
    assert status == 0, told
    eventually(lambda: stack.served() == "2")
    assert stack.command("verify")[0] == 0
