from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from toxic_batch.blocks import Block, columns_of, infos, plan
from toxic_batch.reading import read_block
from toxic_batch.storage import Place
from toxic_core.errors import ConfigurationError, InvalidDataError

ROWS = [(str(number), f'line one\nand "two", {number}' if number % 3 else "") for number in range(200)]


def write_csv(path: Path) -> None:
    """Write ROWS with a byte order mark, every text quoted."""
    lines = ["id,comment_text"]
    for number, text in ROWS:
        quoted = text.replace('"', '""')
        lines.append(f'{number},"{quoted}"')
    path.write_text("\ufeff" + "\r\n".join(lines) + "\n", encoding="utf-8", newline="")


def read_all(path: Path, *, block_bytes: int) -> tuple[list[Block], list[dict[str, object]]]:
    """Return the blocks of a file, and the rows of all of them."""
    file = Place.of(str(path))
    blocks = plan([file], block_bytes=block_bytes)
    tables = [read_block(block, file, columns_of(file)) for block in blocks]
    return blocks, [row for table in tables for row in table.to_pylist()]


@pytest.mark.parametrize("block_bytes", [1, 100, 1_000, 1_000_000])
def test_a_csv_is_cut_between_records(tmp_path: Path, block_bytes: int) -> None:
    """However small the blocks, every row is read once and in order, with the line ends inside it."""
    write_csv(tmp_path / "a.csv")
    _, rows = read_all(tmp_path / "a.csv", block_bytes=block_bytes)
    assert [(row["id"], row["comment_text"]) for row in rows] == ROWS


def test_a_stray_quotation_mark_moves_no_cut(tmp_path: Path) -> None:
    """A quotation mark inside an unquoted field is a character like any other."""
    text = 'id,text\n1,a 5" disk\n2,"two\nlines"\n3,three\n'
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    blocks, rows = read_all(tmp_path / "a.csv", block_bytes=1)
    assert len(blocks) == 3
    assert [row["text"] for row in rows] == ['a 5" disk', "two\nlines", "three"]


@pytest.mark.parametrize("block_bytes", [1, 1_000, 1_000_000])
def test_a_parquet_file_is_cut_inside_row_groups(tmp_path: Path, block_bytes: int) -> None:
    """Rows keep their types and their order."""
    table = pa.table({"id": list(range(200)), "text": [text for _, text in ROWS]})
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=70)
    blocks, rows = read_all(tmp_path / "a.parquet", block_bytes=block_bytes)
    assert rows == table.to_pylist()
    assert len(blocks) >= 3


@pytest.mark.parametrize("block_bytes", [1, 60, 1_000_000])
def test_an_ndjson_file_is_cut_between_lines(tmp_path: Path, block_bytes: int) -> None:
    """Fields that are no strings become JSON, and missing fields become nulls."""
    lines = '{"text": "a\u2028b", "id": 7}\n\n{"text": "c"}\n{"id": null, "text": "d"}'
    (tmp_path / "a.ndjson").write_text(lines, encoding="utf-8")
    _, rows = read_all(tmp_path / "a.ndjson", block_bytes=block_bytes)
    assert rows == [
        {"text": "a\u2028b", "id": "7"},
        {"text": "c", "id": None},
        {"text": "d", "id": None},
    ]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", b"id,text\n1,secret,3\n", "row 1 there has 3 fields"),
        ("a.csv", b"id,text\n1,secret \xff\n", "isn't UTF-8"),
        ("a.csv", b'text\n"secret' + b"x" * 200_000, "not closed"),
        ("a.csv", b"text,text\nsecret,b\n", "each column once"),
        ("a.csv", b"text\n", "no rows"),
        ("a.csv", b"", "no rows"),
        ("a.ndjson", b'{"text": "a"}\n{"text": secret}\n', "line at byte 14 isn't JSON"),
        ("a.ndjson", b'{"text": "a"}\n["secret"]\n', "isn't a JSON object"),
        (
            "a.ndjson",
            b'{"text": "a"}\n{"text": "secret", "id": 1}\n',
            "field 'id', which the first line lacks",
        ),
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
    for name in ("b.csv", "a.jsonl", "notes.txt", "deep/c.parquet"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    paths = [Path(place.path).name for place, _ in infos([str(tmp_path)])]
    assert paths == ["a.jsonl", "b.csv", "c.parquet"]


@pytest.mark.parametrize("address", ["missing.csv", "a.xlsx", "empty", "ftp://host/a.csv"])
def test_an_address_that_names_nothing_to_score_is_refused(tmp_path: Path, address: str) -> None:
    """A missing file, another kind, a folder without files, a file system that isn't known."""
    (tmp_path / "a.xlsx").touch()
    (tmp_path / "empty").mkdir()
    named = address if "://" in address else str(tmp_path / address)
    with pytest.raises(ConfigurationError):
        infos([named])
