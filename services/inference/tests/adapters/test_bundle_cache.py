import fcntl
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from toxic_core.contract import CONTRACT_FILE, file_digest
from toxic_core.errors import ContractError, DigestMismatchError, NotApprovedError, RegistryUnavailableError
from toxic_inference.adapters.bundle_cache import BundleCache
from toxic_inference.serving.interfaces import ServableId

PlainBundle = Callable[..., Path]

ONE, TWO, THREE = (ServableId(version, "f") for version in "123")
NO_LIMIT = 10**9


class Registry:
    """Hands out bundles of a thousand bytes and some; may be gone, or damage what it sends."""

    def __init__(self, build: PlainBundle) -> None:
        self._build = build
        self.gone = False
        self.damages = False
        self.downloads: list[str] = []

    def download(self, servable_id: ServableId, folder: Path) -> Path:
        """Make the version's bundle in `folder`."""
        if self.gone:
            raise RegistryUnavailableError("The registry is gone.")
        self.downloads.append(servable_id.version)
        path = self._build(folder / "artifacts" / "bundle", servable_id.version.encode() * 1000)
        if self.damages:
            (path / "saved_model/saved_model.pb").write_bytes(b"cut")
        return path


@pytest.fixture
def registry(plain_bundle: PlainBundle) -> Registry:
    """What is downloaded from."""
    return Registry(plain_bundle)


@pytest.fixture
def make_cache(tmp_path: Path, registry: Registry) -> Callable[..., BundleCache]:
    """Return a function that opens the cache folder."""

    def make(size_limit_bytes: int = NO_LIMIT) -> BundleCache:
        return BundleCache(
            tmp_path / "cache",
            size_limit_bytes=size_limit_bytes,
            max_bundle_bytes=NO_LIMIT,
            download=registry.download,
        )

    return make


def entries(tmp_path: Path) -> list[str]:
    """Return what the cache folder holds."""
    return sorted(path.name for path in (tmp_path / "cache").iterdir())


def test_a_version_is_downloaded_once(
    tmp_path: Path, make_cache: Callable[..., BundleCache], registry: Registry
) -> None:
    """The second time, and after a restart with the registry gone, it comes from disk."""
    bundle = make_cache().checkout(ONE)
    assert bundle.saved_model.joinpath("saved_model.pb").read_bytes() == b"1" * 1000
    registry.gone = True
    assert make_cache().checkout(ONE).path == bundle.path
    assert registry.downloads == ["1"]
    assert entries(tmp_path) == ["1-f"]


def test_a_damaged_download_leaves_nothing_behind(
    tmp_path: Path, make_cache: Callable[..., BundleCache], registry: Registry
) -> None:
    """What doesn't verify never gets a bundle's name."""
    registry.damages = True
    with pytest.raises(DigestMismatchError):
        make_cache().checkout(ONE)
    assert entries(tmp_path) == []


def test_a_damaged_cached_bundle_is_fetched_again(
    make_cache: Callable[..., BundleCache], registry: Registry
) -> None:
    """A disk that lost bytes is repaired while the registry is there, and an error while it isn't."""
    cache = make_cache()
    file = cache.checkout(ONE).saved_model / "saved_model.pb"
    file.write_bytes(b"flipped")
    assert cache.checkout(ONE).saved_model.joinpath("saved_model.pb").read_bytes() == b"1" * 1000
    file.write_bytes(b"flipped")
    registry.gone = True
    with pytest.raises(RegistryUnavailableError):
        cache.checkout(ONE)


def test_the_same_version_with_other_files_is_another_entry(
    make_cache: Callable[..., BundleCache], registry: Registry
) -> None:
    """A registry made anew isn't answered by the old one's files."""
    cache = make_cache()
    cache.checkout(ServableId("1", "old"))
    cache.checkout(ServableId("1", "new"))
    assert registry.downloads == ["1", "1"]


def test_the_oldest_unused_goes_first(tmp_path: Path, make_cache: Callable[..., BundleCache]) -> None:
    """Over the limit, what was used longest ago is removed, and what is checked out never."""
    cache = make_cache(size_limit_bytes=6_000)  # two bundles fit, three don't
    for servable_id in (ONE, TWO):
        cache.checkout(servable_id)
    os.utime(tmp_path / "cache" / "1-f", (1, 1))
    os.utime(tmp_path / "cache" / "2-f", (2, 2))
    cache.checkout(THREE)
    assert entries(tmp_path) == ["1-f", "2-f", "3-f"]
    cache.release(TWO)
    cache.release(THREE)
    cache.checkout(THREE)
    assert entries(tmp_path) == ["1-f", "3-f"]


def test_an_entry_that_another_process_evicts_is_no_error(
    tmp_path: Path, make_cache: Callable[..., BundleCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes share the folder; what one of them removes while another counts is gone for both."""
    cache = make_cache(size_limit_bytes=1)
    cache.checkout(ONE)
    cache.release(ONE)
    seen = Path.rglob

    def removed(path: Path, pattern: str) -> list[Path]:
        files = list(seen(path, pattern))
        if path.name == "1-f":
            shutil.rmtree(path)
        return files

    monkeypatch.setattr(Path, "rglob", removed)
    cache.checkout(TWO)
    assert entries(tmp_path) == ["2-f"]


def test_a_failed_checkout_holds_nothing(
    tmp_path: Path, make_cache: Callable[..., BundleCache], registry: Registry
) -> None:
    """A version that couldn't be had can be evicted once it is there."""
    cache = make_cache(size_limit_bytes=1)
    registry.gone = True
    with pytest.raises(RegistryUnavailableError):
        cache.checkout(ONE)
    registry.gone = False
    cache.checkout(ONE)
    cache.release(ONE)
    cache.checkout(TWO)
    assert entries(tmp_path) == ["2-f"]


def test_what_a_killed_process_left_is_removed_and_a_living_one_s_kept(
    tmp_path: Path, make_cache: Callable[..., BundleCache]
) -> None:
    """A download in progress is locked."""
    for name in (".partial-dead", ".partial-alive"):
        (tmp_path / "cache" / name).mkdir(parents=True)
    descriptor = os.open(tmp_path / "cache" / ".partial-alive", os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        make_cache()
        assert entries(tmp_path) == [".partial-alive"]
    finally:
        os.close(descriptor)


def test_a_version_without_a_bundle_is_an_error(tmp_path: Path) -> None:
    """A registered version of something else names what is missing."""

    def download(_servable_id: ServableId, folder: Path) -> Path:
        (folder / "MLmodel").write_text("flavors: {}")
        return folder

    cache = BundleCache(tmp_path / "cache", size_limit_bytes=1, max_bundle_bytes=NO_LIMIT, download=download)
    with pytest.raises(ContractError, match=r"contract\.json is missing"):
        cache.checkout(ONE)


@pytest.fixture
def approved(registry: Registry, tmp_path: Path) -> ServableId:
    """Version 1 with the digest of what the registry has now."""
    return replace(ONE, digest=file_digest(registry.download(ONE, tmp_path / "original") / CONTRACT_FILE))


def test_content_that_was_approved_is_handed_out_and_kept(
    make_cache: Callable[..., BundleCache], registry: Registry, approved: ServableId
) -> None:
    """It is found again without the registry."""
    make_cache().checkout(approved)
    registry.gone = True
    assert make_cache().checkout(approved).path.name == f"1-f-{approved.digest[:16]}"  # type: ignore[index]


def test_whole_but_other_content_is_not_handed_out(
    make_cache: Callable[..., BundleCache], approved: ServableId, tmp_path: Path
) -> None:
    """A bundle that was replaced in the registry and sealed anew is refused, and nothing of it is kept."""
    other = replace(approved, digest="0" * 64)
    with pytest.raises(NotApprovedError, match="approves 0000"):
        make_cache().checkout(other)
    assert entries(tmp_path) == []


def test_content_that_changed_in_the_cache_is_downloaded_again(
    make_cache: Callable[..., BundleCache],
    registry: Registry,
    approved: ServableId,
    plain_bundle: PlainBundle,
) -> None:
    """Also if it is whole by its own digests."""
    path = make_cache().checkout(approved).path
    shutil.rmtree(path)
    plain_bundle(path, b"another model")
    bundle = make_cache().checkout(approved)
    assert file_digest(bundle.path / CONTRACT_FILE) == approved.digest
    assert registry.downloads.count("1") == 3
