"""Fixtures that every folder of tests shares."""

import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import structlog

from toxic_core.telemetry import disable_telemetry
from toxic_inference.serving.batching.admission import BatchLimits
from toxic_inference.serving.batching.scheduler import SchedulerResources
from toxic_inference.serving.batching.slots import Slots
from toxic_inference.serving.interfaces import ServableId
from toxic_inference.serving.versions.harness import ActiveServable
from toxic_testing.forking import quick_python
from toxic_testing.fuzzing import be_patient
from toxic_testing.inference.bundles import BundleFactory, write_plain_bundle
from toxic_testing.inference.fakes import EventLog, FakeModel, InlineExecutor, ManualClock, activate, spin
from toxic_testing.inference.mlflow_server import RegisteredModel, Registry, StartServer
from toxic_testing.inference.process import Server

disable_telemetry()
be_patient()
# structlog's own default renders every local variable of a traceback: slow, and not what the service logs.
structlog.configure(
    processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()]
)
os.environ.update({"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"})
os.environ.update({"TF_CPP_MIN_LOG_LEVEL": "3", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"})


@pytest.fixture(scope="session")
def build_bundle(tmp_path_factory: pytest.TempPathFactory) -> BundleFactory:
    """Return what makes sealed bundles with a real SavedModel; a bias tells models apart."""
    return BundleFactory(tmp_path_factory.mktemp("models"))


@pytest.fixture
def plain_bundle() -> Callable[..., Path]:
    """Return the function that seals a bundle whose SavedModel is any bytes."""
    return write_plain_bundle


@pytest.fixture
def clock() -> ManualClock:
    """A clock that doesn't move by itself."""
    return ManualClock()


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio."""
    return "asyncio"


@pytest.fixture
def inline() -> InlineExecutor:
    """An executor without threads."""
    return InlineExecutor()


@pytest.fixture
def turn() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Return the function that lets the event loop turn until a condition holds."""
    return spin


@pytest.fixture
def log() -> EventLog:
    """What was emitted."""
    return EventLog()


@pytest.fixture
def model() -> FakeModel:
    """A model that needs no TensorFlow."""
    return FakeModel()


@pytest.fixture
def scheduling(inline: InlineExecutor, clock: ManualClock, log: EventLog) -> SchedulerResources:
    """What a scheduler needs, on a clock that doesn't move by itself, and without threads."""
    return SchedulerResources(
        limits=BatchLimits(token_budget=64, queue_rows=16, queue_seconds=5.0),
        slots=Slots(1),
        executor=inline,
        clock=clock,
        emit=log,
    )


@pytest.fixture
def active_servable(model: FakeModel, scheduling: SchedulerResources) -> ActiveServable:
    """A version in service, with its scheduler and cache."""
    return activate(ServableId("1", "f"), model.loaded, scheduling, cached=100)


@pytest.fixture(scope="session")
def start_server() -> Iterator[StartServer]:
    """Return a function that starts Python processes; all are ended after the session."""
    servers: list[Server] = []

    def start(arguments: Sequence[str], *, environment: Mapping[str, str], folder: Path) -> Server:
        python = quick_python("registry" if "mlflow" in arguments else "inference")
        servers.append(Server(arguments, environment=environment, folder=folder, python=python))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture(scope="session")
def one_registry(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """The session's MLflow server, not started yet."""
    return Registry(start_server, tmp_path_factory.mktemp("registry"))


@pytest.fixture
def registered_model(one_registry: Registry, request: pytest.FixtureRequest) -> RegisteredModel:
    """A registered model on a running MLflow server."""
    if not one_registry.running:
        one_registry.launch()
    one_registry.wait()
    return RegisteredModel(one_registry, request.node.name)
