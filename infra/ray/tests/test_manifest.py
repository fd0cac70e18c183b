from pathlib import Path

import pytest

from toxic_batch.blocks import Block
from toxic_batch.manifest import (
    MANIFEST,
    InputFile,
    Manifest,
    Work,
    check_same,
    part_name,
    pending,
    read_manifest,
    write_manifest,
)
from toxic_batch.storage import Place
from toxic_core.errors import ConfigurationError

WORK = Work(
    files=(InputFile(path="/data/a.csv", bytes=10, modified_ns=1),),
    columns=("text",),
    form="parquet",
    block_bytes=100,
    windows=32,
    overlap=32,
)
JOB = Manifest(asked="version champion", version="3", digest="ab", work=WORK)


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    """A resumed job finds its own facts."""
    out = Place.of(str(tmp_path / "out"))
    assert read_manifest(out) is None
    write_manifest(out, JOB)
    assert read_manifest(out) == JOB
    assert [path.name for path in (tmp_path / "out").iterdir()] == [MANIFEST]


@pytest.mark.parametrize(
    ("asked", "work", "named"),
    [
        ("version 4", WORK, "model differs"),
        ("version champion", WORK.model_copy(update={"form": "csv"}), "form differs"),
        (
            "version champion",
            WORK.model_copy(update={"files": (InputFile(path="/data/a.csv", bytes=10, modified_ns=2),)}),
            "files differs",
        ),
    ],
)
def test_two_jobs_dont_mix_in_one_folder(asked: str, work: Work, named: str) -> None:
    """Another model, another format or a changed file is refused, and named."""
    check_same(JOB, asked="version champion", work=WORK)
    with pytest.raises(ConfigurationError, match=named):
        check_same(JOB, asked=asked, work=work)


def test_a_folder_of_other_files_is_refused(tmp_path: Path) -> None:
    """A job writes only into a folder of its own."""
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(ConfigurationError, match="holds other files"):
        read_manifest(Place.of(str(tmp_path)))


def test_half_written_parts_dont_count(tmp_path: Path) -> None:
    """A block is scored again if a killed worker left only a temporary file."""
    blocks = [Block(number, "/data/a.csv", begin=number, end=number + 1) for number in range(3)]
    (tmp_path / part_name(1, form="parquet")).touch()
    (tmp_path / f".partial-1-{part_name(2, form='parquet')}").touch()
    left = pending(blocks, Place.of(str(tmp_path)), form="parquet")
    assert [block.number for block in left] == [0, 2]
