"""One registry for a module of hostile tests, with its state in a folder that an attacker also writes to."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from mlflow.tracking import MlflowClient

from toxic_testing.registry import Attacked, RegistryProcess, Versions


@pytest.fixture(scope="module")
def registry_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RegistryProcess, Path]]:
    """Run a registry without users."""
    state = tmp_path_factory.mktemp("registry")
    process = RegistryProcess({"REGISTRY_STATE_DIR": str(state)})
    process.wait_until_ready()
    yield process, state
    process.kill()


@pytest.fixture
def registry(registry_process: tuple[RegistryProcess, Path], tmp_path: Path) -> Attacked:
    """Return the module's registry with a model of the test's own, without versions."""
    process, state = registry_process
    client = MlflowClient(process.uri, process.uri)
    return Attacked(process.uri, state, Versions(client, f"toxic-{uuid4().hex[:12]}", tmp_path / "bundles"))
