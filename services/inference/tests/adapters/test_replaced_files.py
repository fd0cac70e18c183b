"""Files that an attacker with the disks of the registry and of the service replaces, at every moment."""

import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast

import pytest

from toxic_core.contract import CONTRACT_FILE, SAVED_MODEL_DIR, Bundle, file_digest
from toxic_core.errors import ToxicError
from toxic_inference.adapters.bundle_cache import BundleCache
from toxic_inference.adapters.loader import BundleLoader
from toxic_inference.serving.interfaces import ServableId
from toxic_model.loaded import LoadedModel
from toxic_testing.inference.bundles import write_plain_bundle

NO_LIMIT = 10**9
_TICK_NANOSECONDS = 5_000_000
APPROVED, EVIL = b"the approved weights", b"other weights"
listeners: list[Callable[[str], None]] = []


@cache
def listen() -> None:
    """From now on, call the last listener with each file or folder that Python is about to open."""

    def heard(event: str, arguments: tuple[object, ...]) -> None:
        if listeners and event in {"open", "os.scandir", "os.rename"}:
            listeners[-1](str(arguments[0]))

    sys.addaudithook(heard)  # there is no way to remove it


class Attack:
    """Replaces the bundle in the store and in the cache, at the moment of a number.

    Args:
        folder: of the store and the cache.
        evil: another bundle, which verifies.
        moment: when; counted from 0.
        good: what is put back at the next moment, if anything.
    """

    def __init__(self, folder: Path, evil: Path, moment: int, good: Path | None = None) -> None:
        self.moments = 0
        self._folder = folder
        self._bundles = {moment: evil} | ({moment + 1: good} if good else {})

    def __call__(self, path: str) -> None:
        """Count a moment."""
        if not path.startswith(str(self._folder)):
            return
        bundle = self._bundles.get(self.moments)
        self.moments += 1
        if bundle is None:
            return
        listeners.clear()
        # The file system's clock has ticks of 4 ms; a real bundle takes longer to verify.
        ends = time.monotonic_ns() + _TICK_NANOSECONDS
        while time.monotonic_ns() < ends:
            pass
        for contract in list(self._folder.rglob(CONTRACT_FILE)):
            for file in (file for file in bundle.rglob("*") if file.is_file()):
                replaced = contract.parent / file.relative_to(bundle)
                replaced.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, bundle.with_name("new"))
                bundle.with_name("new").rename(replaced)
        listeners.append(self)


@dataclass(frozen=True)
class Model:
    """What was read of a bundle; stands in for a `LoadedModel`."""

    weights: bytes
    close: Callable[[], None] = lambda: None


def read(bundle: Bundle) -> LoadedModel:
    """Read the weights only, as runtimes do, without verifying them."""
    return cast("LoadedModel", Model((bundle.path / SAVED_MODEL_DIR / "saved_model.pb").read_bytes()))


class Service:
    """Starts on the approved version: downloads it, then finds it in its cache."""

    def __init__(self, folder: Path, approved: Path) -> None:
        self._folder = folder
        self._store = folder / "store"
        self._id = ServableId("1", "f", digest=file_digest(approved / CONTRACT_FILE))
        shutil.copytree(approved, self._store)

    def _download(self, _: ServableId, folder: Path) -> Path:
        return Path(shutil.copytree(self._store, folder / "bundle"))

    def start(self) -> Model | None:
        """Return what is served; None if the service refuses to load the version."""
        store = BundleCache(
            self._folder / "cache",
            size_limit_bytes=NO_LIMIT,
            max_bundle_bytes=NO_LIMIT,
            download=self._download,
        )
        try:
            return cast("Model", BundleLoader(store, read).load(self._id))
        except (ToxicError, OSError):
            return None


@pytest.mark.parametrize("restored", [False, True])
@pytest.mark.hostile(2)
def test_no_content_but_the_approved_one_is_served(
    tmp_path: Path,
    restored: bool,  # noqa: FBT001
) -> None:
    """Before, while and after it is downloaded, verified and read, and at a start from the cache.

    Also if the attacker puts the approved files back at the next moment.
    """
    listen()
    approved = write_plain_bundle(tmp_path / "approved", APPROVED)
    evil = write_plain_bundle(tmp_path / "evil", EVIL)
    moment, total, refused = -1, 0, 0
    while moment < total:
        folder = tmp_path / f"live-{moment}"
        service = Service(folder, approved)
        attack = Attack(folder, evil, moment, approved if restored else None)
        listeners.append(attack)
        try:
            served = [service.start(), service.start()]
        finally:
            listeners.clear()
        if moment < 0:
            total = attack.moments
            assert None not in served
        for model in served:
            refused += model is None
            assert model is None or model.weights == APPROVED, f"moment {moment} of {total}"
        moment += 1
    assert refused > total / 4
    assert total > 30
