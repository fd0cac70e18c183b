from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from toxic_batch.blocks import Block, columns_of, infos, plan
from toxic_batch.reading import read_block
from toxic_batch.storage import Place
from toxic_core.errors import ConfigurationError, InvalidDataError
from toxic_core.tables import NO_OPTIONS, TableOptions
from toxic_testing import tables

ROWS = [(str(number), f'line one\nand "two", {number}' if number % 3 else "") for number in range(200)]
NO_OUT = Place.of("/no/output")


def write_csv(path: Path) -> None:
    """Write ROWS with a byte order mark, every text quoted."""
    lines = ["id,comment_text"]
    for number, text in ROWS:
        quoted = text.replace('"', '""')
        lines.append(f'{number},"{quoted}"')
    path.write_text("\ufeff" + "\r\n".join(lines) + "\n", encoding="utf-8", newline="")


def read_all(
    path: Path, *, block_bytes: int, options: TableOptions = NO_OPTIONS
) -> tuple[list[Block], list[dict[str, object]], list[str]]:
    """Return the blocks of a file, the rows of all of them, and the problems of those rows."""
    file = Place.of(str(path))
    blocks = plan([file], block_bytes=block_bytes, options=options)
    columns = columns_of(file, options)
    read = [read_block(block, file, columns, options) for block in blocks]
    rows = [row for table, _ in read for row in table.to_pylist()]
    return blocks, rows, [problem for _, problems in read for problem in problems]


@pytest.mark.parametrize("block_bytes", [1, 100, 1_000, 1_000_000])
def test_a_csv_is_cut_between_records(tmp_path: Path, block_bytes: int) -> None:
    """However small the blocks, every row is read once and in order, with the line ends inside it."""
    write_csv(tmp_path / "a.csv")
    _, rows, _ = read_all(tmp_path / "a.csv", block_bytes=block_bytes)
    assert [(row["id"], row["comment_text"]) for row in rows] == ROWS


@pytest.mark.parametrize("block_bytes", [1, 1_000_000])
def test_a_row_that_can_t_be_read_moves_no_cut(tmp_path: Path, block_bytes: int) -> None:
    """It keeps its place, and its problem has its line in the file, however that is cut."""
    text = b'sep=;\nid;text\n1;"two\nlines"\n2;"stray" quote\n3;\xff\n4;four\n'
    (tmp_path / "a.csv").write_bytes(text)
    _, rows, problems = read_all(tmp_path / "a.csv", block_bytes=block_bytes)
    assert [row["text"] for row in rows] == ["two\nlines", "", "\ufffd", "four"]
    assert [problem[:7] for problem in problems] == ["", "Line 5 ", "Line 6 ", ""]


@pytest.mark.parametrize("block_bytes", [1, 1_000_000])
@pytest.mark.parametrize("name", tables.files())
def test_a_table_is_read_as_people_have_it(tmp_path: Path, name: str, block_bytes: int) -> None:
    """Every format, dialect and compression, in blocks of one row and in one."""
    content, options = tables.files()[name]
    (tmp_path / name).write_bytes(content)
    blocks, rows, problems = read_all(tmp_path / name, block_bytes=block_bytes, options=options)
    assert len(blocks) == (1 if block_bytes > 1 else len(tables.ROWS))
    assert [tuple(row.values()) for row in rows] == list(tables.ROWS)
    assert problems == [""] * len(tables.ROWS)


@pytest.mark.parametrize("block_bytes", [1, 1_000, 1_000_000])
def test_a_parquet_file_is_cut_inside_row_groups(tmp_path: Path, block_bytes: int) -> None:
    """Rows keep their types and their order."""
    table = pa.table({"id": list(range(200)), "text": [text for _, text in ROWS]})
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=70)
    blocks, rows, _ = read_all(tmp_path / "a.parquet", block_bytes=block_bytes)
    assert rows == table.to_pylist()
    assert len(blocks) >= 3


@pytest.mark.parametrize("block_bytes", [1, 60, 1_000_000])
def test_an_ndjson_file_is_cut_between_lines(tmp_path: Path, block_bytes: int) -> None:
    """Fields that are no strings become JSON, and missing fields are empty."""
    lines = '{"text": "a\u2028b", "id": 7}\n\n{"text": "c"}\n{"id": null, "text": "d"}'
    (tmp_path / "a.ndjson").write_text(lines, encoding="utf-8")
    _, rows, _ = read_all(tmp_path / "a.ndjson", block_bytes=block_bytes)
    assert rows == [
        {"text": "a\u2028b", "id": "7"},
        {"text": "c", "id": ""},
        {"text": "d", "id": ""},
    ]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", b"text,text\nsecret,b\n", "columns twice"),
        ("a.csv", b"text\n", "no rows"),
        ("a.csv", b"", "is empty"),
        ("a.ndjson", b'{"text": secret}\n', "without an object"),
        ("a.parquet", b"PAR1 secret", "isn't a Parquet file"),
    ],
)
def test_a_file_that_cant_be_read_is_named(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    """An error names the file and what is wrong with it, and quotes none of it."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidDataError, match=reason) as caught:
        read_all(tmp_path / name, block_bytes=1_000_000)
    assert name in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_folder_gives_its_files_by_name(tmp_path: Path) -> None:
    """Files of other kinds are ignored."""
    for name in ("b.csv", "a.jsonl", "notes.md", "deep/c.parquet"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    paths = [Path(place.path).name for place, _ in infos([str(tmp_path)], out=NO_OUT)]
    assert paths == ["a.jsonl", "b.csv", "c.parquet"]


@pytest.mark.parametrize("out", ["scored", "scored/", "deep/../scored", "link"])
def test_a_folder_gives_no_file_of_the_job_s_own_output(tmp_path: Path, out: str) -> None:
    """A job that is started again has the inputs that it began with."""
    for name in (
        "a.csv",
        "scored.csv",
        "deep/scored/b.csv",
        "scored/_manifest.json",
        "scored/part-0.parquet",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "scored")
    found = infos([str(tmp_path)], out=Place.of(f"{tmp_path}/{out}"))
    assert [Path(place.path).name for place, _ in found] == ["a.csv", "b.csv", "scored.csv"]
    below = infos([str(tmp_path / "deep")], out=Place.of(str(tmp_path)))
    assert [Path(place.path).name for place, _ in below] == ["b.csv"]


def test_a_folder_that_is_the_job_s_own_output_is_refused(tmp_path: Path) -> None:
    """Its parts are no comments."""
    (tmp_path / "part-0.parquet").touch()
    with pytest.raises(ConfigurationError, match="holds no file"):
        infos([str(tmp_path)], out=Place.of(str(tmp_path)))


@pytest.mark.parametrize("address", ["missing.csv", "a.docx", "empty", "ftp://host/a.csv"])
def test_an_address_that_names_nothing_to_score_is_refused(tmp_path: Path, address: str) -> None:
    """A missing file, another kind, a folder without files, a file system that isn't known."""
    (tmp_path / "a.docx").touch()
    (tmp_path / "empty").mkdir()
    named = address if "://" in address else str(tmp_path / address)
    with pytest.raises(ConfigurationError):
        infos([named], out=NO_OUT)
