"""A real registry, and versions in it."""

from collections.abc import Callable, Iterator, Mapping

import pytest
from mlflow.tracking import MlflowClient

from toxic_registry.aliases import MODEL_NAME
from toxic_registry.testing import RegistryProcess

StartRegistry = Callable[[Mapping[str, str]], RegistryProcess]


@pytest.fixture
def start_registry() -> Iterator[StartRegistry]:
    """Start registries that end with the test."""
    started: list[RegistryProcess] = []

    def start(environment: Mapping[str, str]) -> RegistryProcess:
        started.append(RegistryProcess(environment))
        return started[-1]

    yield start
    for registry in started:
        registry.kill()


@pytest.fixture(scope="session")
def registry_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run one registry for the whole session, on a state folder whose name holds a space."""
    state = tmp_path_factory.mktemp("registry") / "with space"
    process = RegistryProcess({"REGISTRY_STATE_DIR": str(state)})
    process.wait_until_ready()
    yield process.uri
    process.stop()


@pytest.fixture
def client(registry_uri: str) -> MlflowClient:
    """Give MLflow's own client of the session's registry."""
    return MlflowClient(tracking_uri=registry_uri, registry_uri=registry_uri)


@pytest.fixture
def add_version(client: MlflowClient) -> Iterator[Callable[..., int]]:
    """Register versions of the model, which is gone after the test."""
    client.create_registered_model(MODEL_NAME)

    def add(tags: Mapping[str, str] | None = None) -> int:
        run = client.create_run("0")
        source = f"{run.info.artifact_uri}/model"
        return int(
            client.create_model_version(MODEL_NAME, source, run.info.run_id, tags=dict(tags or {})).version
        )

    yield add
    client.delete_registered_model(MODEL_NAME)
