"""Workbooks (.xlsx): the first visible sheet, row by row.

Invariant: the size of a workbook's parts, and the number of their elements, are bounded before openpyxl reads
them.
"""

from collections.abc import Iterable
from typing import BinaryIO

from toxic_core.tables.rows import MAX_COLUMNS, InvalidTableError, Row, Rows, bad_row, cell_text
from toxic_core.tables.unpacking import open_zip

_MAX_ROWS = 1_048_576
"""Excel's own limit."""
_MAX_SHEET_BYTES = 512 * 1024 * 1024
_MAX_PART_BYTES = 8 * 1024 * 1024
_MAX_STRINGS_BYTES = 128 * 1024 * 1024
_MAX_STRING_TAGS = 8_000_000
_READ_BYTES = 1024 * 1024
_STRINGS = "xl/sharedStrings.xml"


class WorkbookRecords:
    """The rows of a workbook's first visible sheet, from the first that isn't empty.

    Raises:
        InvalidTableError: it isn't a workbook with a table, or too large.
    """

    def __init__(self, stream: BinaryIO, *, max_bytes: int | None) -> None:
        _check_size(stream, max_bytes=max_bytes)
        self._rows = enumerate(_values(stream), start=1)
        self.header: tuple[str, ...] = ()
        for _, values in self._rows:
            if header := _trimmed(values):
                self.header = header
                return
        raise InvalidTableError("The workbook's first sheet is empty; it needs column names and rows.")

    def __iter__(self) -> Rows:
        """Yield every row that isn't empty."""
        for line, values in self._rows:
            if line > _MAX_ROWS:
                yield bad_row(line, "gave_up", "and the rest were not read: sheets have fewer rows")
                return
            if cells := _trimmed(values):
                yield Row(line, cells + ("",) * (len(self.header) - len(cells)))


def _check_size(stream: BinaryIO, *, max_bytes: int | None) -> None:
    with open_zip(stream) as archive:
        parts = {part.filename: part for part in archive.infolist()}
        for name, part in parts.items():
            limit = _MAX_SHEET_BYTES if name.lower().startswith("xl/worksheets/") else _MAX_PART_BYTES
            limit = _MAX_STRINGS_BYTES if name == _STRINGS else limit
            if part.file_size > min(limit, max_bytes or limit):
                raise InvalidTableError("The workbook is too large; save the sheet as CSV.")
        if _STRINGS in parts:
            tags = 0
            with archive.open(_STRINGS) as strings:
                while chunk := strings.read(_READ_BYTES):
                    tags += chunk.count(b"<")
            if tags > _MAX_STRING_TAGS:
                raise InvalidTableError("The workbook has too many texts; save the sheet as CSV.")
    stream.seek(0)


def _values(stream: BinaryIO) -> Iterable[tuple[object, ...]]:
    import openpyxl  # noqa: PLC0415  0.3 s, for workbooks only

    try:
        book = openpyxl.load_workbook(stream, read_only=True, data_only=True, keep_links=False)
        sheet = next((sheet for sheet in book.worksheets if sheet.sheet_state == "visible"), None)
        if sheet is not None:
            # What the file states is often wrong.
            sheet.reset_dimensions()
            yield from sheet.iter_rows(values_only=True, max_col=MAX_COLUMNS + 1)
    except Exception as error:  # openpyxl raises errors of every kind for files that aren't workbooks
        raise InvalidTableError("The workbook is damaged; save it again, or as CSV.") from error


def _trimmed(values: Iterable[object]) -> tuple[str, ...]:
    cells = tuple(map(cell_text, values))
    while cells and not cells[-1]:
        cells = cells[:-1]
    return cells
