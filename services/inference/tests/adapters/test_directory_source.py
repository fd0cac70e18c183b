import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from toxic_core.errors import ContractError, RegistryUnavailableError
from toxic_inference.adapters.directory_source import DirectorySource

PlainBundle = Callable[..., Path]


@pytest.fixture
def source(tmp_path: Path) -> DirectorySource:
    """A source over an empty folder."""
    return DirectorySource(tmp_path, alias="champion")


def test_the_largest_number_is_aspired(
    tmp_path: Path, source: DirectorySource, plain_bundle: PlainBundle
) -> None:
    """Ten comes after nine, and what isn't a plain number isn't a version."""
    for name in ("9", "10", "011", "latest", ".12", "-13"):
        plain_bundle(tmp_path / name)
    (tmp_path / "14").write_text("a file")
    (aspired,) = source.aspired()
    assert (aspired.id.version, set(aspired.aliases)) == ("10", {"champion"})
    assert source.checkout(aspired.id).path == tmp_path / "10"


def test_pinned_numbers_are_served_beside_the_largest(tmp_path: Path, plain_bundle: PlainBundle) -> None:
    """Without the alias; one that isn't there yet is left out, and the largest isn't named twice."""
    for name in ("1", "2", "3"):
        plain_bundle(tmp_path / name)
    source = DirectorySource(tmp_path, alias="champion", pinned=("1", "3", "8"))
    assert [(a.id.version, set(a.aliases)) for a in source.aspired()] == [("3", {"champion"}), ("1", set())]


def test_an_empty_folder_wants_nothing(source: DirectorySource) -> None:
    """An empty folder isn't an error."""
    assert source.aspired() == ()


def test_a_bundle_instead_of_a_folder_of_bundles_is_an_error(
    tmp_path: Path, source: DirectorySource, plain_bundle: PlainBundle
) -> None:
    """The service would wait for a numbered folder for ever; the error says where the bundle belongs."""
    plain_bundle(tmp_path)
    with pytest.raises(RegistryUnavailableError, match=r"is itself a bundle; move its files to .*/1\."):
        source.aspired()


def test_a_folder_that_went_away_is_an_error(tmp_path: Path) -> None:
    """A volume that isn't mounted must not look like an empty one."""
    with pytest.raises(RegistryUnavailableError, match="can't be read"):
        DirectorySource(tmp_path / "gone", alias="champion").aspired()


def test_a_version_that_is_completed_is_another_servable(
    tmp_path: Path, source: DirectorySource, plain_bundle: PlainBundle
) -> None:
    """While it is copied it can't be loaded; once whole it is tried at once, without waiting for back-off."""
    plain_bundle(tmp_path / "1")
    contract = (tmp_path / "1" / "contract.json").read_bytes()
    (tmp_path / "1" / "contract.json").unlink()
    (half,) = source.aspired()
    with pytest.raises(ContractError, match=r"contract\.json is missing"):
        source.checkout(half.id)
    (tmp_path / "1" / "contract.json").write_bytes(contract)
    (whole,) = source.aspired()
    assert whole.id != half.id
    assert source.checkout(whole.id).contract.base_model == "tiny"


def test_a_replaced_version_isn_t_served_under_the_old_one_s_name(
    tmp_path: Path, source: DirectorySource, plain_bundle: PlainBundle
) -> None:
    """Between being wanted and being loaded, the folder must stay the same."""
    plain_bundle(tmp_path / "1", b"old")
    (old,) = source.aspired()
    shutil.rmtree(tmp_path / "1")
    plain_bundle(tmp_path / "1", b"new")
    with pytest.raises(ContractError, match="replaced"):
        source.checkout(old.id)
