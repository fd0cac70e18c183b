"""The disk cache of downloaded bundles.

Owns its folder: `<version>-<fingerprint>-<digest>/` is a bundle, `.partial-*/` a running download. Several
processes may share the folder.

Invariant: a folder with a bundle's name was verified before it got that name, and is verified again at each
checkout, against the approved digest too. Bundles that are checked out are never removed; others are removed,
least recently used first, when the folder exceeds its limit.
"""

import fcntl
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from threading import Lock

import structlog

from toxic_core.contract import CONTRACT_FILE, Bundle, file_digest, open_bundle
from toxic_core.errors import ContractError, NotApprovedError
from toxic_inference.serving.interfaces import ServableId

_log = structlog.get_logger(__name__)

_PARTIAL = ".partial-"
_DIGEST_LENGTH = 16

Download = Callable[[ServableId, Path], Path]
"""Downloads a version's bundle into a folder, and returns the bundle's path in it."""


@dataclass(eq=False)
class BundleCache:
    """Caches downloaded bundles; implements `BundleStore`.

    Attributes:
        folder: the cache's own folder; created if it is missing.
        size_limit_bytes: its size limit, not counting bundles that are checked out.
        max_bundle_bytes: size limit of one bundle.
        download: downloads what isn't cached.
    """

    folder: Path
    _: KW_ONLY
    size_limit_bytes: int
    max_bundle_bytes: int
    download: Download

    def __post_init__(self) -> None:
        self._lock = Lock()
        self._checked_out: Counter[str] = Counter()
        self.folder.mkdir(parents=True, exist_ok=True)
        # Remove the downloads of killed processes; those of living ones are locked.
        for path in self.folder.glob(f"{_PARTIAL}*"):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            else:
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(descriptor)

    def checkout(self, servable_id: ServableId) -> Bundle:
        """Return the version's bundle, verified: from disk, else downloaded.

        A damaged or changed cached bundle is removed and downloaded again.

        Raises:
            ContractError: the download is damaged or isn't a bundle.
            NotApprovedError: the download isn't the content that the ledger approves.
            RegistryUnavailableError: it isn't cached and can't be downloaded now.
        """
        name = _entry_name(servable_id)
        with self._lock:
            self._checked_out[name] += 1
        try:
            bundle = self._cached(servable_id, name) or self._fetch(servable_id, name)
        except BaseException:
            self.release(servable_id)
            raise
        self._evict()
        return bundle

    def _evict(self) -> None:
        """Remove what was used longest ago, until the rest fits; another process may remove entries too."""
        used = []
        for path in self.folder.iterdir():
            if path.is_dir() and not path.name.startswith("."):
                with suppress(FileNotFoundError):
                    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
                    used.append((path.stat().st_mtime, path, size))
        total = sum(size for _, _, size in used)
        for _, path, size in sorted(used):
            if total <= self.size_limit_bytes:
                break
            with self._lock:
                if self._checked_out[path.name]:
                    continue
                shutil.rmtree(path, ignore_errors=True)
            total -= size
            _log.info("cache.evicted", entry=path.name, bytes=size)

    def release(self, servable_id: ServableId) -> None:
        """Allow the version's bundle to be removed."""
        with self._lock:
            self._checked_out[_entry_name(servable_id)] -= 1

    def _cached(self, servable_id: ServableId, name: str) -> Bundle | None:
        path = self.folder / name
        if not path.is_dir():
            return None
        try:
            bundle = self._open(path, servable_id)
        except ContractError as error:
            _log.warning("cache.damaged", entry=name, error=str(error))
            shutil.rmtree(path)
            return None
        os.utime(path)
        return bundle

    def _fetch(self, servable_id: ServableId, name: str) -> Bundle:
        # Locked while this process lives, so that another one doesn't remove it.
        partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=self.folder))
        descriptor = os.open(partial, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            verified = self._open(self.download(servable_id, partial), servable_id)
            path = self.folder / name
            verified.path.rename(path)
            os.utime(path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            os.close(descriptor)
        return replace(verified, path=path)

    def _open(self, path: Path, servable_id: ServableId) -> Bundle:
        bundle = open_bundle(path, max_bytes=self.max_bundle_bytes)
        # The contract lists every file's digest, so its own digest is that of the content.
        if servable_id.digest and (found := file_digest(path / CONTRACT_FILE)) != servable_id.digest:
            raise NotApprovedError(
                f"Version {servable_id.version} has a contract with SHA-256 {found}, but the registry's "
                f"ledger approves {servable_id.digest}. Restore its files, or promote another version."
            )
        return bundle


def _entry_name(servable_id: ServableId) -> str:
    name = f"{servable_id.version}-{servable_id.fingerprint}"
    return f"{name}-{servable_id.digest[:_DIGEST_LENGTH]}" if servable_id.digest else name
