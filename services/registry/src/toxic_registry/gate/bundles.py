"""The files of registered versions, read from inside the server.

Owns the way from a version's address to a folder on this machine: through the artifact store that the server
proxies, and no other, so that a version whose source names another place can't make the server read it.

Invariant: what was fetched is gone when its context ends, and is never more than the limit.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Protocol
from urllib.parse import unquote, urlsplit

from toxic_core.contract import BUNDLE_ARTIFACT_PATH
from toxic_core.errors import ContractError

_MOST_FILES = 10_000
_PROXIED = "mlflow-artifacts"


class FileInfo(Protocol):
    """One thing in an artifact folder, as MLflow tells of it."""

    path: str
    is_dir: bool
    file_size: int | None


class ArtifactStore(Protocol):
    """MLflow's artifact repository, as far as it is used here."""

    def list_artifacts(self, path: str) -> list[FileInfo]:
        """Return what lies in the folder `path`; empty where there is none."""
        ...

    def download_artifacts(self, artifact_path: str, dst_path: str) -> str:
        """Fetch a folder below `dst_path`; return where it lies there."""
        ...


class ProxiedBundles:
    """Implements `BundleStore` on the server's artifact store.

    Args:
        artifacts: the store behind the artifact proxy.
        resolve: turns the address of a logged model or a run into that of its artifacts.
        max_bytes: the largest bundle that is fetched.
    """

    def __init__(self, artifacts: ArtifactStore, *, resolve: Callable[[str], str], max_bytes: int) -> None:
        self._artifacts = artifacts
        self._resolve = resolve
        self._max_bytes = max_bytes

    @contextmanager
    def bundle(self, uri: str) -> Iterator[Path]:
        """Give a local copy of the bundle; see `BundleStore`."""
        path = f"{_below_proxy(self._resolve(uri))}/{BUNDLE_ARTIFACT_PATH}"
        self._check_size(path)
        with tempfile.TemporaryDirectory(prefix="toxic-gate-") as folder:
            yield Path(self._artifacts.download_artifacts(path, folder))

    def _check_size(self, path: str) -> None:
        files, size = 0, 0
        folders = [path]
        while folders:
            for found in self._artifacts.list_artifacts(folders.pop()):
                if found.is_dir:
                    folders.append(found.path)
                    continue
                files, size = files + 1, size + (found.file_size or 0)
            if size > self._max_bytes or files + len(folders) > _MOST_FILES:
                raise ContractError(
                    f"Its bundle is larger than {self._max_bytes} bytes or {_MOST_FILES} files, "
                    "the most that the registry checks; see REGISTRY_MAX_BUNDLE_MEGABYTES."
                )
        if not files:
            raise ContractError(
                f"It has no files at {BUNDLE_ARTIFACT_PATH}; register it through the training pipeline."
            )


def _below_proxy(uri: str) -> str:
    parts = urlsplit(uri)
    path = PurePosixPath(unquote(parts.path).lstrip("/"))
    if parts.scheme != _PROXIED or ".." in path.parts or not path.parts:
        raise ContractError(f"Its files don't lie in this registry's artifact store, but at {uri}.")
    return str(path)
