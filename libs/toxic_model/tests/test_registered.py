from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest

from toxic_core.contract import CONTRACT_FILE
from toxic_core.errors import ContractError, RegistryUnavailableError, UnknownModelError
from toxic_model.registered import Registry, open_folder
from toxic_testing.inference.bundles import write_plain_bundle

pytestmark = pytest.mark.slow

Register = Callable[[Path], str]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> mlflow.MlflowClient:
    """Give a registry in a database of its own."""
    folder = tmp_path_factory.mktemp("registry")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    client = mlflow.MlflowClient()
    client.create_experiment("test", artifact_location=str(folder / "artifacts"))
    return client


@pytest.fixture
def model(request: pytest.FixtureRequest) -> str:
    """Name a model that only this test knows."""
    return str(request.node.name)


@pytest.fixture
def register(client: mlflow.MlflowClient, model: str) -> Register:
    """Register a folder as a version's bundle."""

    def run(bundle: Path) -> str:
        experiment = client.get_experiment_by_name("test")
        assert experiment is not None
        made = client.create_run(experiment.experiment_id)
        client.log_artifacts(made.info.run_id, str(bundle), "model/artifacts/bundle")
        if not client.search_registered_models(f"name = '{model}'"):
            client.create_registered_model(model)
        source = f"{made.info.artifact_uri}/model"
        return str(client.create_model_version(model, source, made.info.run_id).version)

    return run


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """A bundle to register."""
    return write_plain_bundle(tmp_path / "sealed")


def test_a_version_is_fetched_by_number_and_alias(
    client: mlflow.MlflowClient, model: str, register: Register, sealed: Path, tmp_path: Path
) -> None:
    """Verified, and in the place of the one that was there."""
    version = register(sealed)
    client.set_registered_model_alias(model, "champion", version)
    folder = tmp_path / "fetched"
    folder.mkdir()
    (folder / "old").touch()
    by_number = Registry(model_name=model).fetch(version, folder)
    assert (folder / CONTRACT_FILE).read_bytes() == (sealed / CONTRACT_FILE).read_bytes()
    assert not (folder / "old").exists()
    champion = Registry(uri=client.tracking_uri, model_name=model).fetch("champion", tmp_path / "champion")
    assert champion.version == by_number.version == version
    assert champion.digest == by_number.digest == open_folder(sealed).digest
    assert champion.bundle.path == tmp_path / "champion"
    assert open_folder(sealed).version == champion.digest[:12]


def test_what_is_not_there_is_named(
    client: mlflow.MlflowClient, model: str, register: Register, sealed: Path, tmp_path: Path
) -> None:
    """A missing model, a missing version and a missing alias each have an error of their own."""
    with pytest.raises(UnknownModelError, match=f"no {model} version champion"):
        Registry(model_name=model).fetch("champion", tmp_path / "fetched")
    client.set_registered_model_alias(model, "challenger", register(sealed))
    with pytest.raises(UnknownModelError, match=f"no {model} version 7"):
        Registry(model_name=model).fetch("7", tmp_path / "fetched")
    with pytest.raises(UnknownModelError, match="no alias champion; it has challenger"):
        Registry(model_name=model).fetch("champion", tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()


def test_a_damaged_version_replaces_nothing(
    model: str, register: Register, sealed: Path, tmp_path: Path
) -> None:
    """A bundle that doesn't verify leaves the folder as it was."""
    (tmp_path / "fetched").mkdir()
    (tmp_path / "fetched" / "old").touch()
    (sealed / "warmup.jsonl").write_text("damaged")
    version = register(sealed)
    with pytest.raises(ContractError, match=r"warmup\.jsonl has SHA-256"):
        Registry(model_name=model).fetch(version, tmp_path / "fetched")
    assert (tmp_path / "fetched" / "old").exists()


def test_a_registry_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The error has the registry's address."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(RegistryUnavailableError, match=r"127\.0\.0\.1:9"):
        Registry(uri="http://127.0.0.1:9").fetch("champion", tmp_path / "fetched")
