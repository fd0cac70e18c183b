"""The same small table as people have it: in several formats, dialects and encodings."""

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable, Sequence

import pandas as pd

from toxic_core.tables import TableOptions

HEADER = ("id", "Text", "lang", "note")
ROWS = (
    ("1", 'A "lovely" day; isn\'t it, friend?', "en", "a|b"),
    ("2", "Zwei\nZeilen, grün", "de", ""),
    ("3", "señal\tcon tabulador", "", "=1+1"),
    ("4", "plain", "en", "last"),
)


def delimited(
    delimiter: str = ",",
    *,
    encoding: str = "utf-8",
    line_end: str = "\r\n",
    first: str = "",
    rows: Sequence[Sequence[str]] = ROWS,
    header: Sequence[str] = HEADER,
) -> bytes:
    """Return rows as text that a spreadsheet exports, with texts in quotes."""
    buffer = io.StringIO(newline="")
    buffer.write(first)
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue().encode(encoding)


def _frame() -> pd.DataFrame:
    return pd.DataFrame(ROWS, columns=list(HEADER))


def _zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("export/comments.csv", content)
        archive.writestr("__MACOSX/._comments.csv", b"not a table")
    return buffer.getvalue()


def _written(write: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def files() -> dict[str, tuple[bytes, TableOptions]]:
    """Return the table's files by name, and what their owner must declare; the content decides the format."""
    nothing = TableOptions()
    records = [dict(zip(HEADER, row, strict=True)) for row in ROWS]
    return {
        "excel.csv": (delimited(";", encoding="utf-8-sig"), nothing),
        "sep.csv": (delimited("|", first="sep=|\r\n"), nothing),
        "unicode.txt": (delimited("\t", encoding="utf-16"), nothing),
        "mac.csv": (delimited(line_end="\r"), nothing),
        "windows.csv": (delimited(encoding="cp1252"), TableOptions(encoding="windows-1252")),
        "pandas.tsv": (_frame().to_csv(index=False, sep="\t").encode(), nothing),
        "comments.csv.gz": (gzip.compress(delimited()), nothing),
        "comments.csv.zip": (_zipped(delimited(";")), nothing),
        "comments.xlsx": (workbook(_frame()), nothing),
        "comments.parquet": (_written(lambda out: _frame().to_parquet(out)), nothing),
        "comments.json": (json.dumps(records, indent=1).encode(), nothing),
        "comments.ndjson": ("\n".join(map(json.dumps, records)).encode("utf-8-sig"), nothing),
    }


def workbook(frame: pd.DataFrame) -> bytes:
    """Return a table of texts as a workbook, with formulas as texts."""
    out = io.BytesIO()
    with pd.ExcelWriter(out, engine="openpyxl") as writer:
        frame.to_excel(writer, index=False)
        for row in writer.sheets["Sheet1"].iter_rows():
            for cell in row:
                cell.data_type = "s" if isinstance(cell.value, str) else cell.data_type
    return out.getvalue()
