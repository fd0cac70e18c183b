from pathlib import Path

import pytest
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from toxic_core.errors import ContractError
from toxic_registry.gate.bundles import ProxiedBundles
from toxic_testing.registry import write_bundle


def bundles(folder: Path, max_bytes: int = 1_000_000) -> ProxiedBundles:
    """Read from an artifact store in a folder."""
    return ProxiedBundles(LocalArtifactRepository(str(folder)), resolve=lambda uri: uri, max_bytes=max_bytes)


def test_bundle_is_there_while_the_context_is_open(tmp_path: Path) -> None:
    """The copy holds every file and leaves nothing behind."""
    write_bundle(tmp_path / "0" / "run" / "model" / "artifacts" / "bundle")
    with bundles(tmp_path).bundle("mlflow-artifacts:/0/run/model") as copy:
        assert (copy / "saved_model" / "saved_model.pb").read_bytes() == b"graph"
        assert not copy.is_relative_to(tmp_path)
    assert not copy.exists()


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc", "/etc", "s3://bucket/model", "http://169.254.169.254/", "mlflow-artifacts:/../etc",
        "mlflow-artifacts:/0/%2e%2e/%2e%2e/etc", "mlflow-artifacts:/", "",
    ],
)  # fmt: skip
def test_no_other_place_is_read(tmp_path: Path, uri: str) -> None:
    """Whoever registers a version chooses its address, but not what the server reads."""
    with pytest.raises(ContractError, match="don't lie in this registry"), bundles(tmp_path).bundle(uri):
        pass


def test_bundle_past_the_limit_is_not_fetched(tmp_path: Path) -> None:
    """A version can't fill the server's disk."""
    write_bundle(tmp_path / "model" / "artifacts" / "bundle")
    with pytest.raises(ContractError, match="larger than 100 bytes"):
        bundles(tmp_path, max_bytes=100).bundle("mlflow-artifacts:/model").__enter__()
