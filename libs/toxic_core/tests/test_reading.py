"""The one reader of tables: formats, dialects, encodings, and rows that can't be read."""

import csv
import gzip
import io
import json
import zipfile

import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toxic_core.errors import InvalidDataError
from toxic_core.tables import Table, TableOptions, open_lines, open_table
from toxic_core.tables.delimited import DELIMITERS
from toxic_testing.fuzzing import examples
from toxic_testing.tables import HEADER, ROWS, delimited, files

Cells = tuple[str, ...]

ENCODINGS = {
    "utf-8": None,
    "utf-8-sig": None,
    "utf-16": None,
    "utf-16-le": "utf-16le",
    "cp1252": "Windows-1252",
    "cp1251": "windows-1251",
    "iso8859-9": "latin5",
}
"""Encodings, and what must be declared for them."""


def opened(content: bytes, **declared: str | None) -> Table:
    """Open a table that a caller describes."""
    return open_table(io.BytesIO(content), TableOptions(**declared), max_bytes=1_000_000)


def rows_of(content: bytes, **declared: str | None) -> list[Cells]:
    """Return the rows of a table without problems."""
    found = list(opened(content, **declared).rows())
    assert [row.problem for row in found] == [None] * len(found)
    return [row.cells for row in found]


def codes_of(content: bytes, **declared: str | None) -> list[tuple[int, str]]:
    """Return each row's line, and its cells or its problem's code in brackets."""
    return [
        (row.line, f"[{row.problem.code}]" if row.problem else "/".join(row.cells))
        for row in opened(content, **declared).rows()
    ]


def test_lines_are_a_table_of_one_column() -> None:
    """A comment per line, quotes included; empty lines are skipped, and a bad one concerns no other."""
    content = b'\xef\xbb\xbfa "b", c\r\n\n  d\nh\xff\n\0\ne'
    table = open_lines(io.BytesIO(content))
    assert table.header == ("text",)
    rows = [(row.line, row.problem.code if row.problem else row.cells[0]) for row in table.rows()]
    assert rows == [(1, 'a "b", c'), (3, "  d"), (4, "invalid_utf8"), (5, "invalid_character"), (6, "e")]
    (row,) = open_lines(io.BytesIO("день\n".encode("cp1251")), TableOptions("cp1251")).rows()
    assert row.cells == ("день",)


@pytest.mark.parametrize("declared", [None, "utf-8"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_lines_are_read_by_their_byte_order_mark(encoding: str, declared: str | None) -> None:
    """As in tables, the mark outweighs what is declared; it is no part of the first comment."""
    table = open_lines(io.BytesIO("день\nніч\n".encode(encoding)), TableOptions(declared))
    assert [row.cells for row in table.rows()] == [("день",), ("ніч",)]


@pytest.mark.parametrize("name", files())
def test_a_table_is_read_as_people_have_it(name: str) -> None:
    """Every format, dialect and compression has the same rows."""
    content, options = files()[name]
    table = open_table(io.BytesIO(content), options)
    assert table.header == HEADER
    assert [row.cells for row in table.rows()] == list(ROWS)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("delimiter", DELIMITERS.values())
@settings(max_examples=examples(15), deadline=None)
@given(st.data())
def test_rows_come_back_from_any_writer(encoding: str, delimiter: str, data: st.DataObject) -> None:
    """What pandas and LibreOffice write in any encoding, with any delimiter, is read row by row."""
    codec = encoding if encoding.startswith(("cp", "iso")) else "utf-8"
    cell = st.text(st.characters(codec=codec, exclude_characters="\0\r"), max_size=12)
    rows = data.draw(st.lists(st.tuples(st.integers(1).map(str), cell, cell), max_size=6))
    header = ["id", "text", "note"]
    by_pandas = io.BytesIO()
    pd.DataFrame(rows, columns=header).to_csv(by_pandas, sep=delimiter, encoding=encoding, index=False)
    by_libreoffice = delimited(delimiter, encoding=encoding, line_end="\n", rows=rows, header=header)
    for content in (by_pandas.getvalue(), by_libreoffice):
        assert rows_of(content, encoding=ENCODINGS[encoding]) == rows


_CELLS = st.text(
    st.characters(exclude_categories=("C", "Zl", "Zp"), exclude_characters="_"), max_size=12
).filter(lambda text: not text.startswith("="))


@given(st.lists(st.tuples(st.integers(1, 2**40).map(str), _CELLS, _CELLS), max_size=6))
@settings(max_examples=examples(25), deadline=None)
def test_rows_come_back_from_workbooks_parquet_and_json(rows: list[Cells]) -> None:
    """Cells are texts in every format."""
    header = ["id", "text", "note"]
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in (header, *rows):
        book.active.append(row)
    workbook, parquet = io.BytesIO(), io.BytesIO()
    book.save(workbook)
    frame = pd.DataFrame(rows, columns=header, dtype=str)
    frame.to_parquet(parquet)
    assert rows_of(workbook.getvalue()) == rows
    assert rows_of(parquet.getvalue()) == rows
    if rows:
        records = [dict(zip(header, row, strict=True)) for row in rows]
        assert rows_of(json.dumps(records).encode()) == rows
        assert rows_of("\n".join(map(json.dumps, records)).encode()) == rows


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(content: bytes) -> None:
    """Any bytes are a table or a refusal, also after the beginning of a format."""
    for start in (b"", b"text\n", b"[", b'{"text": "a"}\n', b"\xff\xfe", b"\x1f\x8b", b"PK\x03\x04", b"PAR1"):
        try:
            for row in opened(start + content).rows():
                assert row.problem is not None or len(row.cells) > 0
        except InvalidDataError:
            continue


def test_typed_cells_are_texts() -> None:
    """Numbers, dates, truth values and missing ones of workbooks and Parquet files."""
    frame = pd.DataFrame(
        {"text": ["a", None], "n": [1, 2], "b": [True, False], "d": [pd.Timestamp("2026-01-02"), pd.NaT]}
    )
    parquet, workbook = io.BytesIO(), io.BytesIO()
    frame.to_parquet(parquet)
    frame.to_excel(workbook, index=False)
    expected = [("a", "1", "true", "2026-01-02 00:00:00"), ("", "2", "false", "")]
    assert rows_of(parquet.getvalue()) == expected
    assert rows_of(workbook.getvalue()) == expected


def test_the_encoding_is_declared_or_marked_and_never_guessed() -> None:
    """A row with other bytes has a problem, and shows them as U+FFFD; a mark goes before a declaration."""
    cyrillic = "id,text\n1,привет\n2,hello\n".encode("cp1251")
    first, second = opened(cyrillic).rows()
    assert (first.cells, second.cells) == (("1", "\ufffd" * 6), ("2", "hello"))
    assert first.problem is not None
    assert first.problem.message == "Line 2 contains bytes that are not UTF-8; declare the file's encoding."
    assert rows_of(cyrillic, encoding="windows-1251")[0] == ("1", "привет")
    assert rows_of("text\nпривет".encode("utf-8-sig"), encoding="cp1251") == [("привет",)]
    assert codes_of(b"text\na\x81\n", encoding="latin1") == [(2, "[invalid_encoding]")]
    with pytest.raises(InvalidDataError, match="encoding 'utf-7' is not read"):
        opened(b"text\n", encoding="utf-7")
    with pytest.raises(InvalidDataError, match="declare encoding=utf-16-le"):
        opened("text\nhello".encode("utf-16-le"))
    with pytest.raises(InvalidDataError, match=r"another encoding\. Declare it"):
        opened("tëxt\nhello".encode("cp1252"))


def test_the_delimiter_is_found_by_the_text_column() -> None:
    """Not by how often a character occurs; one that is declared goes before that."""
    assert rows_of(b"text\nOne; two; three\n") == [("One; two; three",)]
    assert rows_of(b"id;a,b,c;text\n1;x,y;hello, you\n") == [("1", "x,y", "hello, you")]
    assert opened(b"id|remark\n1|a;b\n", text_column="remark").delimiter == "|"
    assert opened(b"id;toxic\n1;0\n2;1\n").header == ("id", "toxic")
    assert rows_of(b"a;text,b\n1;2,3\n", delimiter="comma") == [("1;2", "3")]
    with pytest.raises(InvalidDataError, match="delimiter ':' is not read"):
        opened(b"text\n", delimiter=":")


def test_lines_end_as_the_first_one_does() -> None:
    """In CR too; line breaks in quotes count nothing, and a stray CR is a problem of its row."""
    assert codes_of(b'id,"te\nxt"\r1,"a\nb"\r2,c\r', text_column="te\nxt") == [(2, "1/a\nb"), (3, "2/c")]
    assert codes_of(b'text\r\n"a\rb"\r\nc\rd\r\ne\n') == [(2, "a\rb"), (3, "[invalid_quoting]"), (4, "e")]


@pytest.mark.parametrize("first", ["sep=;\n", '"sep=;"\r\n', "\ufeffSEP=;\n", "\n\n"])
def test_lines_before_the_header_are_skipped(first: str) -> None:
    """Excel's line with the delimiter, and empty ones; lines are counted on."""
    lines = first.count("\n")
    assert codes_of(f"{first}id;text\n1;a\n".encode()) == [(lines + 2, "1/a")]


def test_ragged_rows() -> None:
    """Surplus cells may be empty; cells may be missing after the text column, or if they have no name."""
    assert codes_of(b"id,text,lang\n1,a,en,,\n2,b\n3\n4,c,en,d\n") == [
        (2, "1/a/en"),
        (3, "2/b/"),
        (4, "[wrong_cell_count]"),
        (5, "[wrong_cell_count]"),
    ]
    assert codes_of(b"id,toxic,\n1,0\n2\n") == [(2, "1/0/"), (3, "[wrong_cell_count]")]


def test_a_row_with_a_nul_is_refused() -> None:
    """It is a sign of damage; its neighbours are read."""
    assert codes_of(b"text\na\nb\0c\nd\n") == [(2, "a"), (3, "[invalid_character]"), (4, "d")]


def test_names_occur_once() -> None:
    """In the header and in every JSON object; several columns may have no name."""
    with pytest.raises(InvalidDataError, match="columns twice: 'id'"):
        opened(b"id,text,id\n")
    assert rows_of(b",text,\n1,a,\n") == [("1", "a", "")]
    assert codes_of(b'{"text": "a"}\n{"text": "b", "text": "c"}\n') == [(1, "a"), (2, "[invalid_record]")]


def test_a_broken_json_record_takes_no_neighbour_with_it() -> None:
    """In lines; the rest of a list can't be read."""
    assert codes_of(b'{"text": "a"}\n{"text":\n[1]\n{"text": "b", "n": {"c": 1}}\n') == [
        (1, "a/"),
        (2, "[malformed_json]"),
        (3, "[invalid_record]"),
        (4, 'b/{"c": 1}'),
    ]
    assert codes_of(b'["a", 5, "b", {"te') == [
        (1, "a"),
        (2, "[invalid_record]"),
        (3, "b"),
        (4, "[malformed_json]"),
    ]
    late = b'{"text": "a"}\n' * 1_001 + b'{"text": "a", "new": 1}\n'
    assert codes_of(late)[-1] == (1_002, "[unknown_member]")
    with pytest.raises(InvalidDataError, match="JSON without an object"):
        opened(b'{\n  "texts": ["a"]\n}')


def test_a_number_that_is_too_long_is_malformed() -> None:
    """Of more digits than Python reads: in lines a problem of its line, in a list the end of what is read."""
    digits = b"1" * 5_000
    assert codes_of(b'{"text": "a"}\n{"text": ' + digits + b'}\n{"text": "b"}\n') == [
        (1, "a"),
        (2, "[malformed_json]"),
        (3, "b"),
    ]
    assert codes_of(b'["a", ' + digits + b', "b"]') == [(1, "a"), (2, "[malformed_json]")]
    late = b'["a"' + b', "b"' * 1_500 + b', {"text": ' + digits + b"}]"
    assert codes_of(late)[-1] == (1_502, "[malformed_json]")
    assert codes_of(b'["a", ' + digits + b".5]")[-1] == (2, "[invalid_record]")
    with pytest.raises(InvalidDataError, match=r"JSON without an object .* no JSON"):
        opened(b'[{"text": ' + digits + b"}]")


@pytest.mark.parametrize("characters", [131_073, 1_000_000])
def test_a_cell_may_be_as_long_as_a_record(characters: int) -> None:
    """In delimited text as in JSON; a program that lowers the limit of the module `csv` changes nothing."""
    csv.field_size_limit(131_072)
    long = "x" * characters
    quoted = f'id,text\n1,"{long}"\n2,{long}\n3,b\n'.encode()
    assert rows_of(quoted) == [("1", long), ("2", long), ("3", "b")]
    records = [{"id": "1", "text": long}, {"id": "2", "text": "b"}]
    for content in (json.dumps(records), "\n".join(map(json.dumps, records))):
        assert rows_of(content.encode()) == [("1", long), ("2", "b")]


def test_broken_quotes_may_be_far_apart() -> None:
    """However long a file is: each is a problem of its row, and what follows is read again."""
    part = b'1,"broken\n' + (b"2," + b"x" * 10_000 + b"\n") * 110
    codes = [code for _, code in codes_of(b"id,text\n" + part * 20)]
    assert codes.count("[invalid_quoting]") == 20
    assert len(codes) == 20 * 111


def test_compressed_files_are_bounded() -> None:
    """By their content, before it is used; damaged ones and archives of several files are refused."""
    bomb = gzip.compress(b"text\n" + b"0" * 2_000_000)
    with pytest.raises(InvalidDataError, match="larger than 1,000,000 bytes"):
        opened(bomb)
    assert len(list(open_table(io.BytesIO(bomb)).rows())) == 1
    with pytest.raises(InvalidDataError, match="damaged"):
        opened(gzip.compress(b"text\nhello\n")[:-6])
    with pytest.raises(InvalidDataError, match="compressed twice"):
        opened(gzip.compress(gzip.compress(b"text\n")))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as two:
        two.writestr("a.csv", "text\n")
        two.writestr("b.csv", "text\n")
    with pytest.raises(InvalidDataError, match="2 files"):
        opened(archive.getvalue())
    many = io.BytesIO()
    with zipfile.ZipFile(many, "w") as full:
        for number in range(20_000):
            full.writestr(f"{number}.csv", b"")
    with pytest.raises(InvalidDataError, match="too many members"):
        opened(many.getvalue())


def test_the_first_visible_sheet_is_read() -> None:
    """A hidden one isn't; empty rows around the table are skipped, and rows keep their numbers."""
    book = openpyxl.Workbook()
    hidden = book.active
    assert hidden is not None
    hidden.append(["text"])
    hidden.sheet_state = "hidden"
    sheet = book.create_sheet("shown")
    for row in ([], ["id", "text"], [1, "a"], [], [2, "b", "c"]):
        sheet.append(row)
    stream = io.BytesIO()
    book.save(stream)
    assert codes_of(stream.getvalue()) == [(3, "1/a"), (5, "[wrong_cell_count]")]


def test_workbooks_are_bounded() -> None:
    """By the size of their parts, their tags and their columns, before or while they are read."""
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(["text"])
    book.active.append(["a"])
    book.active.cell(row=3, column=1_025, value="far")
    book.active.append(["b"])
    stream = io.BytesIO()
    book.save(stream)
    assert codes_of(stream.getvalue()) == [(2, "a"), (3, "[gave_up]")]
    for name, content in (("xl/styles.xml", b" " * 900_000), ("xl/worksheets/s.xml", b"<" * 900_000)):
        with zipfile.ZipFile(stream := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("xl/workbook.xml", b"")
            archive.writestr(name, content * 10)
        with pytest.raises(InvalidDataError, match="too large"):
            open_table(stream)


def test_a_part_of_a_text_can_be_read_from_a_place() -> None:
    """The place after a row is a byte and a line, also after a mark and letters that take several bytes."""
    content = '\ufeffid,text\n1,"é\nè"\n2,b\n'.encode()
    table = opened(content)
    header, rows = table.place, table.rows()
    next(rows)
    first, second = content.index(b"1,"), content.index(b"2,")
    assert (header, table.place) == ((first, 1), (second, 3))
    part = open_table(io.BytesIO(content[:first] + content[second:]), skipped_lines=2)
    assert [(row.line, row.cells) for row in part.rows()] == [(4, ("2", "b"))]
    assert opened(gzip.compress(content)).place is None


def test_a_writer_s_quoting_is_kept() -> None:
    """Line ends and quotes inside quotes belong to the cell."""
    cells = ("1", 'a "b"\r\nc\rd\ne')
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([["id", "text"], cells])
    assert rows_of(buffer.getvalue().encode()) == [cells]
