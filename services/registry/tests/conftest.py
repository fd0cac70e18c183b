"""Fixtures: a real registry on each kind of database, versions of a model, and a receiver of webhooks."""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import requests
from mlflow.tracking import MlflowClient

from toxic_registry.cli import main
from toxic_testing.registry import PostgresServer, Receiver, RegistryProcess, Versions, copy_tables

StartRegistry = Callable[..., RegistryProcess]
EVENT_SECRET = "the test's own"


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    """Run a receiver of webhooks."""
    with Receiver() as listening:
        yield listening


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Run one PostgreSQL for the whole session."""
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture
def start_registry() -> Iterator[StartRegistry]:
    """Return a function that starts registries, which end with the test."""
    started: list[RegistryProcess] = []

    def start(environment: Mapping[str, str], command: Sequence[str] = ()) -> RegistryProcess:
        started.append(RegistryProcess(environment, command=command))
        return started[-1]

    yield start
    for registry in started:
        registry.kill()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of a database of each kind, with MLflow's tables."""
    if request.param == "sqlite":
        return copy_tables(tmp_path / "own.db")
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database(f"t{uuid.uuid4().hex}", tables=True)


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def registry_uri(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, receiver: Receiver
) -> Iterator[str]:
    """Run a registry on each kind of database, with a space in the name of its state folder."""
    environment = {
        "REGISTRY_STATE_DIR": str(tmp_path_factory.mktemp("registry") / "with space"),
        "REGISTRY_EVENT_URLS": receiver.uri,
        "REGISTRY_EVENT_SECRET": EVENT_SECRET,
    }
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        environment["REGISTRY_BACKEND_STORE_URI"] = server.new_database("registry", tables=True)
    process = RegistryProcess(environment)
    process.wait_until_ready()
    yield process.uri
    process.stop()


@pytest.fixture
def client(registry_uri: str) -> MlflowClient:
    """Return MLflow's client of the session's registry."""
    return MlflowClient(tracking_uri=registry_uri, registry_uri=registry_uri)


@pytest.fixture
def model() -> str:
    """Return a registered model's name, unique to the test."""
    return f"toxic-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def versions(client: MlflowClient, model: str, tmp_path: Path) -> Versions:
    """Return the test's registered model without versions."""
    return Versions(client, model, tmp_path / "bundles")


@pytest.fixture
def ledger(registry_uri: str, model: str) -> Callable[[], list[dict[str, object]]]:
    """Return a function that reads the ledger's entries of the test's model."""

    def read() -> list[dict[str, object]]:
        rows: list[dict[str, object]] = []
        after: int | None = 0
        while after is not None:
            answer = requests.get(f"{registry_uri}/ledger", params={"after": after}, timeout=10).json()
            rows += answer["rows"]
            after = answer["next"]
        return [row for row in rows if row["model"] == model]

    return read


@pytest.fixture
def run(
    registry_uri: str, model: str, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs a command and returns its exit status, output and errors."""

    def command(*arguments: str, uri: str = registry_uri) -> tuple[int, str, str]:
        capsys.readouterr()  # output of the test's own client
        own = () if arguments[0] == "verify" else ("--model", model)
        with pytest.raises(SystemExit) as ended:
            main([*arguments, *own, "--registry-uri", uri])
        shown = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, shown.out, shown.err

    return command
