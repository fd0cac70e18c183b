import csv
import io
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toxic_core.labels import LABELS
from toxic_inference.serving.interfaces import Lane, Text
from toxic_inference.tables.reader import CsvTable, InvalidCsvError
from toxic_testing.inference.core import FakeCore
from toxic_testing.tables import ROWS, files

pytestmark = pytest.mark.anyio


async def upload(client: httpx.AsyncClient, content: bytes, **headers: str) -> httpx.Response:
    """Send a file as the form does."""
    return await client.post("/predict", files={"file": ("c.csv", content)}, headers=headers)


def table(content: bytes) -> CsvTable:
    """Return a table over these bytes."""
    return CsvTable(io.BytesIO(content), max_text_bytes=200)


def lines_and_codes(content: bytes) -> list[tuple[int | None, str]]:
    """Return each row's line, and its text or its problem's code in brackets."""
    return [
        (row.line, row.text.content if row.text else f"[{row.problem.code if row.problem else '?'}]")
        for row in table(content).rows()
    ]


@pytest.mark.parametrize("column", ["content", "comment_text", " Comment_Text ", "Body"])
async def test_a_file_s_rows_are_scored_by_line(
    client: httpx.AsyncClient, core: FakeCore, column: str
) -> None:
    """Every usual column name works, and each result names its line."""
    answer = await upload(client, f"id,{column}\n1,{'a' * 10}\n2,{'b' * 20}\n".encode())
    body = answer.json()
    assert [(r["line"], r["scores"]["toxic"]) for r in body["results"]] == [(2, 0.1), (3, 0.2)]
    assert (body["model_version"], body["scored"], body["rejected"]) == ("7", 2, 0)
    assert core.lanes == [Lane.BULK]
    assert core.leases == 0


AMBIGUOUS = b"text,body\nhi,hello\n"


async def test_text_column_chooses_between_candidates(client: httpx.AsyncClient, core: FakeCore) -> None:
    """As a query parameter of a CSV body and as a field of a form."""
    in_query = await client.post(
        "/predict", params={"text_column": "body"}, content=AMBIGUOUS, headers={"content-type": "text/csv"}
    )
    in_form = await client.post(
        "/predict", data={"text_column": "body"}, files={"file": ("a.csv", AMBIGUOUS, "text/csv")}
    )
    assert (in_query.status_code, in_form.status_code) == (200, 200)
    assert [text.content for text in core.texts] == ["hello", "hello"]


async def test_a_query_parameter_twice_is_an_error(client: httpx.AsyncClient) -> None:
    """None of the two is taken silently."""
    answer = await client.post(
        "/predict?text_column=text&text_column=body", content=AMBIGUOUS, headers={"content-type": "text/csv"}
    )
    assert answer.status_code == 422
    assert "'text_column' is there twice" in answer.json()["error"]["message"]


async def test_bad_rows_are_reported_and_the_rest_scored(
    client: httpx.AsyncClient, metric: Callable[..., float]
) -> None:
    """Every bad row is there with its line and reason; every good one with its score."""
    content = (
        b"id,content,lang\n"
        b"1,fine,en\n"
        b"2,,en\n"
        b"3,bad \xff bytes,en\n"
        b"4,too,many,cells\n"
        b"5\n"
        b"6," + b"x" * 201 + b",en\n"
        b'7,"two\nlines",en\n'
        b"8,\x00fine,en\n"
        b"9,\xe2\x80\x8b,en\n"
        b"10,fine,\n"
    )
    body = (await upload(client, content)).json()
    assert [r["line"] for r in body["results"]] == [2, 8, 12]
    assert [(e["line"], e["code"]) for e in body["errors"]] == [
        (3, "invalid_text"),
        (4, "invalid_utf8"),
        (5, "wrong_cell_count"),
        (6, "wrong_cell_count"),
        (7, "text_too_long"),
        (10, "invalid_character"),
        (11, "invalid_text"),
    ]
    assert all(f"Line {e['line']}" in e["message"] for e in body["errors"])
    assert (body["scored"], body["rejected"]) == (3, 7)
    assert metric("toxic_inference_rejected_rows_total", reason="wrong_cell_count") == 2


async def test_languages_come_from_the_row_and_then_the_form(
    client: httpx.AsyncClient, core: FakeCore
) -> None:
    """A row's own language goes before the request's."""
    files = {"file": ("c.csv", b"content,lang\nhola,es\nciao,\n")}
    await client.post("/predict", files=files, data={"lang": "it"})
    assert core.texts == [Text("hola", "es"), Text("ciao", "it")]


async def test_message_and_file_come_together(client: httpx.AsyncClient) -> None:
    """The message's result is first and has no line."""
    answer = await client.post(
        "/predict", files={"file": ("c.csv", b"id,content\n1,bb\n")}, data={"message": "a"}
    )
    results = answer.json()["results"]
    assert [(r.get("line"), r["scores"]["toxic"]) for r in results] == [(None, 0.01), (2, 0.02)]


async def test_an_empty_file_field_is_no_file(client: httpx.AsyncClient) -> None:
    """A browser sends one if no file was chosen."""
    answer = await client.post("/predict", files={"file": ("", b"")}, data={"message": "a"})
    assert answer.json()["scored"] == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf\n", "empty"),
        (b"content\n", "no rows"),
        (b"id,notes\n1,a\n", "no column of texts"),
        (b"text,Body\na,b\n", "2 columns that may hold the texts: 'text', 'Body'"),
        (b"content,content\na,b\n", "columns twice: 'content'"),
        (b"content,lang,language\na,en,en\n", "2 columns of languages: 'lang', 'language'"),
        (b"PK\x03\x04 and so on", "ZIP file is damaged"),
        (b"\xd0\xcf\x11\xe0", "old or protected Excel workbook"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00", "binary"),
        (b"\x00\x01\x02\x03", "binary"),
        (b"c\xf6ntent\n1\n", "first line is not utf-8"),
        (b"content\n\xff\n\xfe\n", "None of the file's 2 rows"),
        (b'"content\n1\n', "first line can't be read"),
        (b"x" * 180_000, "no column of texts"),
    ],
)
async def test_files_that_aren_t_a_csv_with_texts_are_refused(
    client: httpx.AsyncClient, content: bytes, says: str
) -> None:
    """The error names each kind of wrong file."""
    answer = await upload(client, content)
    assert answer.status_code == 422, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["field"]) == ("invalid_csv", "file")
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(error["message"])


async def test_a_file_with_no_scored_row_lists_why(client: httpx.AsyncClient) -> None:
    """The rows' own problems come with the refusal."""
    answer = await upload(client, b"id,content\n1,\n2,\n")
    assert [row["line"] for row in answer.json()["error"]["rows"]] == [2, 3]


async def test_a_csv_body_works_without_a_form(client: httpx.AsyncClient) -> None:
    """`Content-Type: text/csv` is the file itself."""
    answer = await client.post(
        "/predict", content=b"content\nabc\n", headers={"content-type": "text/csv; charset=utf-8"}
    )
    assert answer.json()["results"][0]["scores"]["toxic"] == 0.03


async def test_a_csv_answer_keeps_every_row_in_order(client: httpx.AsyncClient) -> None:
    """The caller's columns come back with ours beside them, bad rows with their reason."""
    content = b'id,comment_text\n1,"a ""quoted"", text"\n2,\n3,ok,extra\n4,ok\n'
    answer = await upload(client, content, accept="text/csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "scores.csv" in answer.headers["content-disposition"]
    assert answer.headers["x-model-version"] == "7"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["id"], row["comment_text"], row["line"]) for row in rows] == [
        ("1", 'a "quoted", text', "2"),
        ("2", "", "3"),
        ("3", "ok", "4"),
        ("4", "ok", "5"),
    ]
    assert [bool(row["error"]) for row in rows] == [False, True, True, False]
    assert [rows[0][f"score_{label}"] for label in LABELS] == ["0.160000"] * 6
    assert rows[0]["decision_toxic"] == "false"
    assert {row["model_version"] for row in rows} == {"7"}
    assert rows[1]["score_toxic"] == ""


@pytest.mark.parametrize("cell", ["=1+1", "+SUM(A1)", "-2+3", "@cmd", "\t=1", "＝1"])
async def test_a_csv_answer_runs_no_formula(client: httpx.AsyncClient, cell: str) -> None:
    """Cells that a spreadsheet would run are preceded by an apostrophe, in the header too."""
    answer = await upload(client, f'{cell},content\n"{cell}","{cell} text"\n'.encode(), accept="text/csv")
    header, row = list(csv.reader(io.StringIO(answer.text)))
    assert header[0] == row[0] == f"'{cell}"
    assert row[1] == f"'{cell} text"


async def test_a_csv_answer_leaves_numbers_alone(client: httpx.AsyncClient) -> None:
    """A negative number is no formula."""
    answer = await upload(client, b"id,content\n-1.5,text\n", accept="text/csv")
    assert list(csv.reader(io.StringIO(answer.text)))[1][0] == "-1.5"


async def test_a_large_file_streams_in_chunks(client: httpx.AsyncClient, core: FakeCore) -> None:
    """Thousands of rows come back all, in order, scored a chunk at a time."""
    content = "n,content\n" + "".join(f"{n},{'x' * (n % 50 + 1)}\n" for n in range(3_000))
    answer = await upload(client, content.encode(), accept="text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["n"] for row in rows] == [str(n) for n in range(3_000)]
    assert [float(row["score_toxic"]) for row in rows] == [(n % 50 + 1) / 100 for n in range(3_000)]
    assert len(core.lanes) == 6


def test_a_byte_order_mark_isn_t_part_of_the_header() -> None:
    """Excel writes one."""
    assert lines_and_codes(b"\xef\xbb\xbfcontent\nfine\n") == [(2, "fine")]


def test_lines_are_counted_through_quoted_breaks_and_empty_lines() -> None:
    """A row's line is its first line in the file."""
    assert lines_and_codes(b'content\r\n"a\r\nb"\r\n\r\nc\r\n') == [(2, "a\r\nb"), (5, "c")]


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(b'1,"never closed', id="a quote that opens and never closes"),
        pytest.param(b'1,"closed"wrongly', id="text after a closing quote"),
    ],
)
def test_a_broken_quote_takes_no_neighbour_with_it(broken: bytes) -> None:
    """The rows after a broken quote are read, whether or not they have quotes themselves."""
    content = b"id,content\n0,before\n" + broken + b'\n2,"quoted after"\n3,plain after\n'
    assert lines_and_codes(content) == [
        (2, "before"),
        (3, "[invalid_quoting]"),
        (4, "quoted after"),
        (5, "plain after"),
    ]


def test_a_huge_field_is_one_bad_row() -> None:
    """A text over the caller's limit, and a line over the reader's, are reported and passed."""
    for cell in (b"x" * 200_000, b'"' + b"x" * 200_000 + b'"'):
        content = b"content\nfine\n" + cell + b"\nfine\n" + b"y" * 1_500_000 + b"\nfine\n"
        assert lines_and_codes(content) == [
            (2, "fine"),
            (3, "[text_too_long]"),
            (4, "fine"),
            (5, "[line_too_long]"),
            (6, "fine"),
        ]


def test_a_carriage_return_without_quotes_is_named() -> None:
    """In words that don't suppose a program."""
    (row,) = table(b"content\na\rb\n").rows()
    assert row.problem is not None
    assert row.problem.message == "Line 2 has a carriage return in a cell without quotes."


def test_a_file_of_one_endless_line_is_refused() -> None:
    """Two million bytes without a line break aren't a header."""
    with pytest.raises(InvalidCsvError, match="first line is longer than 1,048,576 characters"):
        table(b"x" * 2_000_000)


def test_nothing_but_broken_quotes_ends() -> None:
    """Reading ends with an error for a file that would send the reader back at every line."""
    rows = lines_and_codes(b"content\n" + b'"a\n' * 3_000)
    assert rows[-1][1] == "[gave_up]"
    assert len(rows) < 1_100


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=30),
            st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=30),
        ),
        max_size=20,
    )
)
def test_every_row_of_a_valid_file_comes_out(rows: list[tuple[str, str]]) -> None:
    """What Python's writer writes is read back, row by row, none lost."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["id", "content"])
    writer.writerows(rows)
    found = list(table(buffer.getvalue().encode()).rows())
    assert [row.cells for row in found] == rows


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(content: bytes) -> None:
    """Any bytes after a header are rows or problems; any bytes at all are a table or a refusal."""
    for row in table(b"content\n" + content).rows():
        assert (row.text is None) != (row.problem is None)
    with suppress(InvalidCsvError):
        list(table(content).rows())


@pytest.mark.parametrize("name", files())
async def test_a_table_is_read_as_people_have_it(
    client: httpx.AsyncClient, core: FakeCore, name: str
) -> None:
    """Every format, dialect and compression: row for row, with the scores of the texts in JSON."""
    content, options = files()[name]
    declared = {"encoding": options.encoding} if options.encoding else {}
    answer = await client.post("/predict", data=declared, files={"file": (name, content)})
    assert answer.status_code == 200, answer.text
    assert answer.json()["errors"] == []
    assert [text.content for text in core.texts] == [row[1] for row in ROWS]
    plain = await client.post("/predict", json={"texts": [row[1] for row in ROWS]})
    assert [r["scores"] for r in answer.json()["results"]] == [r["scores"] for r in plain.json()["results"]]


CYRILLIC = "content\nпривет\n".encode("cp1251")


@pytest.mark.parametrize(
    "declared",
    [
        {"headers": {"content-type": "text/csv; charset=windows-1251"}},
        {"headers": {"content-type": "text/csv"}, "params": {"encoding": "cp1251"}},
        {"headers": {"content-type": "text/csv; charset=utf-8"}, "params": {"encoding": "windows-1251"}},
    ],
)
async def test_a_declared_encoding_is_used(
    client: httpx.AsyncClient, core: FakeCore, declared: dict[str, Any]
) -> None:
    """The parameter goes before the charset, which programs add without being asked."""
    assert (await client.post("/predict", content=CYRILLIC, **declared)).status_code == 200
    assert [text.content for text in core.texts] == ["привет"]


async def test_a_part_s_charset_is_used(client: httpx.AsyncClient, core: FakeCore) -> None:
    """That of a file in a form."""
    part = ("c.csv", CYRILLIC, "text/csv; charset=windows-1251")
    assert (await client.post("/predict", files={"file": part})).status_code == 200
    assert [text.content for text in core.texts] == ["привет"]


@pytest.mark.parametrize(
    ("kind", "params", "status", "field"),
    [
        ("text/csv; charset=utf-7", {}, 415, "Content-Type"),
        ("text/csv; charset=nope", {}, 415, "Content-Type"),
        ("text/csv", {"encoding": "nope"}, 422, "encoding"),
        ("text/csv", {"delimiter": "x"}, 422, "delimiter"),
        ("text/csv", {"sep": ";"}, 422, "sep"),
        ("text/csv", {"policy": "strict"}, 422, "policy"),
        ("application/json", {"text_column": "a"}, 422, "text_column"),
        ("application/json; charset=nope", {}, 415, "Content-Type"),
    ],
)
async def test_what_is_declared_is_never_ignored(
    client: httpx.AsyncClient, kind: str, params: dict[str, str], status: int, field: str
) -> None:
    """An unknown encoding, delimiter or parameter is an error that names it."""
    answer = await client.post(
        "/predict", content=b"content\na\n", headers={"content-type": kind}, params=params
    )
    assert (answer.status_code, answer.json()["error"]["field"]) == (status, field)


async def test_a_scored_file_is_scored_again(client: httpx.AsyncClient) -> None:
    """The columns of the earlier scores get other names, time after time."""
    content = b"id,content\n1,hello\n"
    headers = []
    for _ in range(3):
        answer = await upload(client, content, accept="text/csv")
        assert answer.status_code == 200, answer.text
        content = answer.content
        headers.append(next(csv.reader(io.StringIO(answer.text))))
    assert all(len(set(header)) == len(header) for header in headers)
    assert headers[2][:3] == ["id", "content", "score_toxic_1"]
    assert headers[2].count("score_toxic_2") == 1
