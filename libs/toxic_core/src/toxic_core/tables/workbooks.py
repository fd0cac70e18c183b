"""Workbooks (.xlsx): the first visible sheet, row by row.

Invariant: the size of a workbook's parts, and the number of their elements, are bounded before openpyxl reads
them.
"""

import zipfile
import zlib
from collections.abc import Iterable
from itertools import islice
from typing import BinaryIO

from toxic_core.tables.rows import MAX_COLUMNS, InvalidTableError, Row, Rows, bad_row, cell_text
from toxic_core.tables.unpacking import open_zip

_MAX_ROWS = 1_048_576
"""Excel's own limit."""
_MAX_HEADER_ROW = 1_000
_LARGE_PARTS = ("xl/worksheets/", "xl/sharedStrings.xml")
_MAX_LARGE_BYTES = 256 * 1024 * 1024
_MAX_TAGS = 6_000_000
"""Of a large part: openpyxl keeps some 60 bytes per element. A cell has four."""
_MAX_PART_BYTES = 8 * 1024 * 1024
_READ_BYTES = 1024 * 1024


class WorkbookRecords:
    """The rows of a workbook's first visible sheet, from the first that isn't empty.

    Raises:
        InvalidTableError: it isn't a workbook with a table, or too large.
    """

    def __init__(self, stream: BinaryIO, *, max_bytes: int | None) -> None:
        _check_size(stream, max_bytes=max_bytes)
        self._rows = enumerate(_values(stream), start=1)
        self.header: tuple[str, ...] = ()
        for _, values in islice(self._rows, _MAX_HEADER_ROW):
            if header := _trimmed(values):
                self.header = header
                return
        raise InvalidTableError("The workbook's first sheet is empty; it needs column names and rows.")

    def __iter__(self) -> Rows:
        """Yield every row that isn't empty."""
        for line, values in self._rows:
            if line > _MAX_ROWS or len(values) > MAX_COLUMNS:
                yield bad_row(line, "gave_up", "and the rest were not read: the sheet is too large")
                return
            if cells := _trimmed(values):
                yield Row(line, cells + ("",) * (len(self.header) - len(cells)))


def _check_size(stream: BinaryIO, *, max_bytes: int | None) -> None:
    try:
        with open_zip(stream) as archive:
            for part in archive.infolist():
                large = part.filename.startswith(_LARGE_PARTS)
                limit = _MAX_LARGE_BYTES if large else _MAX_PART_BYTES
                if part.file_size > min(limit, max_bytes or limit) or (
                    large and _tags(archive, part) > _MAX_TAGS
                ):
                    raise InvalidTableError("The workbook is too large; save the sheet as CSV.")
    except (RuntimeError, NotImplementedError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise InvalidTableError("The workbook is damaged or protected; save it again, or as CSV.") from error
    stream.seek(0)


def _tags(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> int:
    with archive.open(part) as content:
        return sum(chunk.count(b"<") for chunk in iter(lambda: content.read(_READ_BYTES), b""))


def _values(stream: BinaryIO) -> Iterable[tuple[object, ...]]:
    import openpyxl  # noqa: PLC0415  0.3 s, for workbooks only

    try:
        book = openpyxl.load_workbook(stream, read_only=True, data_only=True, keep_links=False)
        sheet = next((sheet for sheet in book.worksheets if sheet.sheet_state == "visible"), None)
        if sheet is not None:
            # What the file states is often wrong.
            sheet.reset_dimensions()
            yield from sheet.iter_rows(values_only=True)
    except Exception as error:  # openpyxl raises errors of every kind for files that aren't workbooks
        raise InvalidTableError("The workbook is damaged; save it again, or as CSV.") from error


def _trimmed(values: Iterable[object]) -> tuple[str, ...]:
    cells = tuple(map(cell_text, values))
    return cells[: max((end for end, cell in enumerate(cells, start=1) if cell), default=0)]
