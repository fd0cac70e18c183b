import logging
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest

from toxic_core.contract import CONTRACT_FILE
from toxic_core.errors import ContractError, RegistryUnavailableError, UnknownModelError
from toxic_training.scoring.registered import fetch_champion, fetch_version

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


def test_a_version_is_fetched_by_number_and_alias(
    client: mlflow.MlflowClient, model: str, register: Register, sealed: Path, tmp_path: Path
) -> None:
    """Verified, and in the place of the one that was there."""
    version = register(sealed)
    client.set_registered_model_alias(model, "champion", version)
    folder = tmp_path / "fetched"
    folder.mkdir()
    (folder / "old").touch()
    by_number = fetch_version(model, version, folder)
    assert (folder / CONTRACT_FILE).read_bytes() == (sealed / CONTRACT_FILE).read_bytes()
    assert not (folder / "old").exists()
    champion = fetch_champion(model, tmp_path / "champion")
    assert champion is not None
    assert champion.contract == by_number.contract


def test_what_is_not_there_is_named(
    client: mlflow.MlflowClient, model: str, register: Register, sealed: Path, tmp_path: Path
) -> None:
    """A missing model, version and alias are told apart from a registry that doesn't answer."""
    with pytest.raises(UnknownModelError, match=f"no {model} version champion"):
        fetch_version(model, "champion", tmp_path / "fetched")
    client.set_registered_model_alias(model, "challenger", register(sealed))
    with pytest.raises(UnknownModelError, match=f"no {model} version 7"):
        fetch_version(model, "7", tmp_path / "fetched")
    with pytest.raises(UnknownModelError, match="no alias champion; it has challenger"):
        fetch_version(model, "champion", tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()


def test_a_damaged_champion_is_none_to_compare_with(
    client: mlflow.MlflowClient,
    model: str,
    register: Register,
    sealed: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The training goes on without the comparison, and the log says why."""
    (sealed / "warmup.jsonl").write_text("damaged")
    version = register(sealed)
    client.set_registered_model_alias(model, "champion", version)
    with pytest.raises(ContractError, match=r"warmup\.jsonl has SHA-256"):
        fetch_version(model, version, tmp_path / "fetched")
    with caplog.at_level(logging.INFO):
        assert fetch_champion(model, tmp_path / "champion") is None
    assert "No champion to compare with" in caplog.text


def test_a_registry_that_does_not_answer_is_none_to_compare_with(
    monkeypatch: pytest.MonkeyPatch, client: mlflow.MlflowClient, tmp_path: Path
) -> None:
    """The error names its address."""
    answering = mlflow.get_tracking_uri()
    assert answering == client.tracking_uri
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    mlflow.set_registry_uri("http://127.0.0.1:9")
    try:
        with pytest.raises(RegistryUnavailableError, match=r"127\.0\.0\.1:9"):
            fetch_version("toxic-comments", "champion", tmp_path / "fetched")
        assert fetch_champion("toxic-comments", tmp_path / "fetched") is None
    finally:
        mlflow.set_tracking_uri(answering)
        mlflow.set_registry_uri(answering)
