"""Downloads the bundles of registered versions from the artifact store behind the server's proxy.

Invariant: no other place is read, so that a version's source, which any client can set, can't make the server
read other hosts or files. A download never exceeds the size limit and is deleted when
its context ends.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from toxic_core.contract import BUNDLE_ARTIFACT_PATH, CONTRACT_FILE, file_digest
from toxic_core.errors import ContractError
from toxic_core.files import locked

if TYPE_CHECKING:
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

_MAX_FILES = 10_000
_SCRATCH = "toxic-gate-"


def remove_scratch() -> None:
    """Remove the temporary folders of gates that were killed; those of living ones are locked."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*"):
        with suppress(OSError), locked(folder):
            shutil.rmtree(folder, ignore_errors=True)


class BundleStore:
    """The bundles in one artifact store.

    Args:
        artifacts: the store behind the artifact proxy.
        resolve: maps the address of a logged model or a run to the address of its artifacts.
        max_bytes: size limit of a bundle.
    """

    def __init__(
        self, artifacts: "ArtifactRepository", *, resolve: Callable[[str], str], max_bytes: int
    ) -> None:
        self._artifacts = artifacts
        self._resolve = resolve
        self._max_bytes = max_bytes

    @contextmanager
    def download(self, uri: str) -> Iterator[Path]:
        """Yield a temporary folder with the bundle of the version at `uri`.

        Raises:
            ContractError: the version has no bundle, is stored elsewhere, or exceeds the limit.
        """
        path = f"{self.location(uri)}/{BUNDLE_ARTIFACT_PATH}"
        self._check_size(path)
        with self._scratch() as folder:
            yield Path(self._artifacts.download_artifacts(path, str(folder)))

    def digest(self, uri: str) -> str:
        """Return the SHA-256 of the contract of the version at `uri`; empty if it has none here."""
        try:
            bundle = f"{self.location(uri)}/{BUNDLE_ARTIFACT_PATH}"
        except ContractError:
            return ""
        sizes = {found.path: found.file_size or 0 for found in self._artifacts.list_artifacts(bundle)}
        if not 0 < sizes.get(f"{bundle}/{CONTRACT_FILE}", 0) <= self._max_bytes:
            return ""
        with self._scratch() as folder:
            contract = self._artifacts.download_artifacts(f"{bundle}/{CONTRACT_FILE}", str(folder))
            return file_digest(Path(contract))

    def location(self, uri: str) -> PurePosixPath:
        """Return where the files of the version at `uri` are in the store.

        Raises:
            ContractError: the version is stored elsewhere.
        """
        resolved = self._resolve(uri)
        parts = urlsplit(resolved)
        model = PurePosixPath(unquote(parts.path).lstrip("/"))
        if parts.scheme != "mlflow-artifacts" or ".." in model.parts or not model.parts:
            raise ContractError(f"Its files aren't in this registry's artifact store, but at {resolved}.")
        return model

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        """Yield a temporary folder, locked for as long as this process lives."""
        with tempfile.TemporaryDirectory(prefix=_SCRATCH) as folder, locked(Path(folder)):
            yield Path(folder)

    def _check_size(self, path: str) -> None:
        files, size = 0, 0
        folders = [path]
        while folders:
            for found in self._artifacts.list_artifacts(folders.pop()):
                if found.is_dir:
                    folders.append(found.path)
                    continue
                files, size = files + 1, size + (found.file_size or 0)
            if size > self._max_bytes or files + len(folders) > _MAX_FILES:
                raise ContractError(
                    f"Its bundle is larger than {self._max_bytes} bytes or {_MAX_FILES} files, "
                    "the most that the registry checks; see REGISTRY_MAX_BUNDLE_MEGABYTES."
                )
        if not files:
            raise ContractError(
                f"It has no files at {BUNDLE_ARTIFACT_PATH}; register it through the training pipeline."
            )
