"""The disk cache of downloaded bundles.

Owns its folder: `<version>-<fingerprint>/` is a bundle, `.partial-*/` a running download. Several processes
may share the folder.

Invariant: a folder with a bundle's name was verified before it got that name, and is verified again at each
checkout. Bundles that are checked out are never removed; others are removed, least recently used first, when
the folder exceeds its limit.
"""

import fcntl
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from threading import Lock

import structlog

from toxic_core.contract import Bundle, open_bundle
from toxic_core.errors import ContractError
from toxic_inference.serving.interfaces import ServableId

_log = structlog.get_logger(__name__)

_PARTIAL = ".partial-"

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

        A damaged cached bundle is removed and downloaded again.

        Raises:
            ContractError: the download is damaged or isn't a bundle.
            RegistryUnavailableError: it isn't cached and can't be downloaded now.
        """
        name = _entry_name(servable_id)
        with self._lock:
            self._checked_out[name] += 1
        try:
            bundle = self._cached(name) or self._fetch(servable_id, name)
        except BaseException:
            self.release(servable_id)
            raise
        entries = [path for path in self.folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
        sizes = {
            path: sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) for path in entries
        }
        total = sum(sizes.values())
        for path in sorted(entries, key=lambda entry: entry.stat().st_mtime):
            if total <= self.size_limit_bytes:
                break
            with self._lock:
                if self._checked_out[path.name]:
                    continue
                shutil.rmtree(path, ignore_errors=True)
            total -= sizes[path]
            _log.info("cache.evicted", entry=path.name, bytes=sizes[path])
        return bundle

    def release(self, servable_id: ServableId) -> None:
        """Allow the version's bundle to be removed."""
        with self._lock:
            self._checked_out[_entry_name(servable_id)] -= 1

    def _cached(self, name: str) -> Bundle | None:
        path = self.folder / name
        if not path.is_dir():
            return None
        try:
            bundle = open_bundle(path, max_bytes=self.max_bundle_bytes)
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
            verified = open_bundle(self.download(servable_id, partial), max_bytes=self.max_bundle_bytes)
            path = self.folder / name
            verified.path.rename(path)
            os.utime(path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            os.close(descriptor)
        return Bundle(path=path, contract=verified.contract)


def _entry_name(servable_id: ServableId) -> str:
    return f"{servable_id.version}-{servable_id.fingerprint}"
