import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path, PurePosixPath

import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.artifact import artifact_repo
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from toxic_core.contract import CONTRACT_FILE, file_digest
from toxic_core.errors import ContractError
from toxic_registry.gate.artifacts import BundleStore, remove_scratch
from toxic_registry.server.artifact_guard import WRITES, guard_versions
from toxic_testing.registry import write_bundle

pytestmark = pytest.mark.slow


def bundles(folder: Path, max_bytes: int = 1_000_000) -> BundleStore:
    """Use a folder as the artifact store."""
    return BundleStore(LocalArtifactRepository(str(folder)), resolve=lambda uri: uri, max_bytes=max_bytes)


def test_download_exists_only_inside_its_context(tmp_path: Path) -> None:
    """The copy has every file and is deleted afterwards."""
    write_bundle(tmp_path / "0" / "run" / "model" / "artifacts" / "bundle")
    with bundles(tmp_path).download("mlflow-artifacts:/0/run/model") as copy:
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
def test_only_the_artifact_store_is_read(tmp_path: Path, uri: str) -> None:
    """A version's address, which any client can set, never makes the server read another place."""
    with pytest.raises(ContractError, match="aren't in this registry"), bundles(tmp_path).download(uri):
        pass


@pytest.mark.hostile(33)
def test_folders_of_killed_gates_are_removed_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of a judgement that is under way stays."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    write_bundle(tmp_path / "model" / "artifacts" / "bundle")
    left = tmp_path / "temporary" / "toxic-gate-killed"
    (left / "bundle").mkdir(parents=True)
    with bundles(tmp_path).download("mlflow-artifacts:/model") as copy:
        remove_scratch()
        assert copy.is_dir()
        assert not left.exists()


def test_digest_is_that_of_the_contract(tmp_path: Path) -> None:
    """It is read without the rest of the bundle; a version without a bundle here has none."""
    folder = write_bundle(tmp_path / "model" / "artifacts" / "bundle")
    store = bundles(tmp_path)
    assert store.digest("mlflow-artifacts:/model") == file_digest(folder / CONTRACT_FILE)
    assert store.digest("mlflow-artifacts:/another") == ""
    assert store.digest("s3://bucket/model") == ""


def test_every_method_that_writes_is_guarded() -> None:
    """A method that a later MLflow adds must be sorted into one that reads or one that writes."""
    reads = {
        "flush_async_logging", "list_artifacts", "get_local_path", "download_artifacts", "max_workers",
        "download_trace_data_to_file", "download_trace_data", "download_archived_trace_data",
        "download_trace_attachment_to_file", "download_trace_attachment", "get_download_presigned_url",
    }  # fmt: skip
    traces = {  # through log_artifact
        "upload_trace_data", "upload_archived_trace_data", "upload_archived_trace_data_bytes",
        "upload_attachment",
    }  # fmt: skip
    mixins = [value for name, value in vars(artifact_repo).items() if name.endswith("Mixin")]
    methods = {
        name for cls in (artifact_repo.ArtifactRepository, *mixins) for name in vars(cls) if name[0] != "_"
    }
    assert methods == reads | traces | WRITES.keys()


def test_file_that_was_begun_before_the_registration_is_not_published(tmp_path: Path) -> None:
    """The check is made again after the last part."""
    store = LocalArtifactRepository(str(tmp_path))
    registered: list[PurePosixPath] = []
    guard_versions(store, lambda: registered)

    async def parts() -> AsyncIterator[bytes]:
        yield b"other "
        registered.append(PurePosixPath("model"))
        yield b"content"

    with pytest.raises(MlflowException, match="belongs to a registered version"):
        asyncio.run(store.log_artifact_from_async_stream(parts(), "contract.json", "model/artifacts/bundle"))
    assert not list(tmp_path.rglob("contract.json"))


def test_bundle_above_the_size_limit_is_not_downloaded(tmp_path: Path) -> None:
    """A version can't fill the server's disk."""
    write_bundle(tmp_path / "model" / "artifacts" / "bundle")
    with pytest.raises(ContractError, match="larger than 100 bytes"):
        bundles(tmp_path, max_bytes=100).download("mlflow-artifacts:/model").__enter__()
