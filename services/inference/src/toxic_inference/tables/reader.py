"""Reading uploaded CSV files (RFC 4180), row by row, in constant memory.

Invariant: every row of the file is returned, in order, with a text to score or with the reason why it can't
be scored and its line; a malformed row never affects its neighbours.
"""

import codecs
import csv
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from toxic_core.errors import InvalidDataError, ToxicError
from toxic_core.languages import primary_language
from toxic_core.tables import language_column, text_column
from toxic_inference.serving.errors import RejectedTextError, TextTooLongError
from toxic_inference.serving.interfaces import Text
from toxic_inference.serving.scoring.texts import check_text

MAX_COLUMNS = 1_024
_MAX_RECORD_BYTES = 1024 * 1024
"""Longest record, and longest line."""
_MAX_RESUMPTIONS = 1_000
_MAX_REREAD_BYTES = 16 * 1024 * 1024
"""How often, and for how much, reading goes back to the line after a malformed quote; a file with more of
them is not a CSV."""

_QUOTING = ("invalid_quoting", "is not valid CSV ({error})")
_MALFORMED = {
    "field larger than field limit": (
        "text_too_long",
        f"has a cell of more than {csv.field_size_limit():,} characters",
    ),
    "new-line character seen in unquoted field": (
        "invalid_quoting",
        "has a carriage return in a cell without quotes",
    ),
}
"""Codes and reasons for the messages of the module `csv` that blame something else."""

_BINARY_STARTS = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x1f\x8b": "a gzip file",
    b"PAR1": "a Parquet file",
    codecs.BOM_UTF16_LE: "UTF-16 text",
    codecs.BOM_UTF16_BE: "UTF-16 text",
}


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Why one row of a CSV was not scored.

    Attributes:
        line: the row's first line in the file, from 1.
        code: the reason, for programs.
        message: the reason, for people.
    """

    line: int
    code: str
    message: str


class InvalidCsvError(ToxicError):
    """A file that is not a CSV with a text column, or without a row that can be scored.

    Attributes:
        field: the part of the request at fault.
        problems: why rows were not scored.
    """

    def __init__(self, message: str, *, problems: tuple[RowProblem, ...] = ()) -> None:
        super().__init__(message)
        self.field = "file"
        self.problems = problems


@dataclass(frozen=True, slots=True)
class CsvRow:
    """One row of the file.

    Attributes:
        line: its first line in the file, from 1; None for a text that came beside the file.
        cells: as in the file, except that bytes that are not UTF-8 are replaced.
        text: the text to score; None if there is a problem.
        problem: why the row can't be scored.
    """

    line: int | None
    cells: tuple[str, ...]
    text: Text | None
    problem: RowProblem | None

    @property
    def size(self) -> int:
        """Its characters, and one per cell."""
        return len(self.cells) + sum(map(len, self.cells))


class InvalidRecordError(Exception):
    """A record that is too long to be kept."""


class _LineTooLongError(InvalidRecordError):
    """A line over `_MAX_RECORD_BYTES`; its rest was skipped."""


class _RecordTooLongError(InvalidRecordError):
    """A record of several lines over `_MAX_RECORD_BYTES`."""


class Lines:
    """Iterator over the file's lines, which counts them and can go back.

    Bytes that are not UTF-8 become lone surrogates, so that a row shows whether it has any.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._ahead: deque[str] = deque()
        self._record: list[str] = []
        self._record_size = 0
        self.line = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._ahead:
            line = self._ahead.popleft()
        else:
            raw = self._stream.readline(_MAX_RECORD_BYTES)
            if not raw:
                raise StopIteration
            if len(raw) == _MAX_RECORD_BYTES and not raw.endswith(b"\n"):
                while (more := self._stream.readline(_MAX_RECORD_BYTES)) and not more.endswith(b"\n"):
                    pass
                self.line += 1
                raise _LineTooLongError
            line = raw.decode("utf-8", errors="surrogateescape")
        self.line += 1
        self._record.append(line)
        self._record_size += len(line)
        if self._record_size > _MAX_RECORD_BYTES:
            raise _RecordTooLongError
        return line

    def start_record(self) -> int:
        """Start a new record; return the number of its first line."""
        self._record.clear()
        self._record_size = 0
        return self.line + 1

    def go_back(self) -> int:
        """Return to the record's second line; return how many characters are read again."""
        rest = self._record[1:]
        self._ahead.extendleft(reversed(rest))
        self.line -= len(rest)
        return sum(map(len, rest))


class CsvTable:
    """An uploaded file.

    Everything blocks: call it off the event loop.

    Args:
        stream: the file, at its start; it must be able to seek.
        max_text_bytes: longest text, in UTF-8 bytes.
        language_of: returns the language of the text of a row that states none.
        chosen_column: name of the text column; None for the one with a usual name.

    Raises:
        InvalidCsvError: the file is not a CSV, or its text column can't be found.
    """

    def __init__(
        self,
        stream: BinaryIO,
        *,
        max_text_bytes: int,
        language_of: Callable[[str], str | None] = lambda _: None,
        chosen_column: str | None = None,
    ) -> None:
        start = stream.read(4096)
        stream.seek(len(codecs.BOM_UTF8) if start.startswith(codecs.BOM_UTF8) else 0)
        if not start.removeprefix(codecs.BOM_UTF8).strip():
            raise InvalidCsvError("The file is empty; send a CSV with a column of texts.")
        for magic, kind in _BINARY_STARTS.items():
            if start.startswith(magic):
                raise InvalidCsvError(f"The file is {kind}, not a CSV; export it as CSV in UTF-8.")
        if b"\0" in start.partition(b"\n")[0]:
            raise InvalidCsvError("The file is binary, not a CSV; export it as CSV in UTF-8.")
        if b"\n" not in start and b"\r" in start:
            raise InvalidCsvError("The file's lines end in a carriage return alone; save it with line feeds.")
        self._lines = Lines(stream)
        # Strict: a misplaced quote is an error of its row; a guess could swallow the next rows.
        self._reader = csv.reader(self._lines, strict=True)
        self._max_text_bytes = max_text_bytes
        self._language_of = language_of
        self.header = self._read_header()
        """The names of the columns."""
        try:
            self.text_column = text_column(self.header, chosen=chosen_column)
            """Index of the text column."""
        except InvalidDataError as error:
            raise InvalidCsvError(str(error)) from error
        self._language_column = language_column(self.header)

    def rows(self) -> Iterator[CsvRow]:
        """Yield every row except empty lines."""
        resumptions = reread = 0
        while True:
            line = self._lines.start_record()
            try:
                cells = next(self._reader, None)
            except _LineTooLongError:
                yield _rejected(line, (), "line_too_long", f"is longer than {_MAX_RECORD_BYTES:,} bytes")
                continue
            except (csv.Error, _RecordTooLongError) as error:
                code, problem = _MALFORMED.get(str(error).partition(" (")[0].partition(" - ")[0], _QUOTING)
                yield _rejected(line, (), code, problem.format(error=str(error) or "a cell doesn't end"))
                again = self._lines.go_back()
                resumptions += again > 0
                reread += again
                if resumptions > _MAX_RESUMPTIONS or reread > _MAX_REREAD_BYTES:
                    yield _rejected(
                        line + 1, (), "gave_up", "and the rest were not read: too many malformed quotes"
                    )
                    return
                continue
            if cells is None:
                return
            if cells:
                yield self._row(line, tuple(cells))

    def _read_header(self) -> tuple[str, ...]:
        self._lines.start_record()
        try:
            cells = next(self._reader, None)
        except _LineTooLongError as error:
            raise InvalidCsvError(
                f"The file is not a CSV: its first line is longer than {_MAX_RECORD_BYTES:,} bytes."
            ) from error
        except (csv.Error, _RecordTooLongError) as error:
            raise InvalidCsvError(
                f"The file is not a CSV: its first line can't be read ({str(error) or 'a cell has no end'})."
            ) from error
        if cells and len(cells) > MAX_COLUMNS:
            raise InvalidCsvError(f"The file has {len(cells):,} columns; the limit is {MAX_COLUMNS:,}.")
        if not cells:
            raise InvalidCsvError("The file's first line is empty; it must name the columns.")
        if any(_is_undecodable(cell) for cell in cells):
            raise InvalidCsvError(
                "The file's first line is not UTF-8: the file is binary or has another encoding. "
                "Export it as CSV in UTF-8."
            )
        return tuple(cells)

    def _row(self, line: int, cells: tuple[str, ...]) -> CsvRow:
        header = self.header
        if any(_is_undecodable(cell) for cell in cells):
            shown = tuple(
                cell.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="replace")
                for cell in cells
            )
            return _rejected(line, shown, "invalid_utf8", "contains bytes that are not UTF-8")
        if len(cells) != len(header):
            problem = f"has {len(cells)} cells; the first line names {len(header)}"
            return _rejected(line, cells[: len(header)], "wrong_cell_count", problem)
        stated = "" if self._language_column is None else cells[self._language_column].strip()
        language = primary_language(stated) if stated else None
        if stated and language is None:
            return _rejected(line, cells, "invalid_language", "has a language that is not a code such as en")
        content = cells[self.text_column]
        field = f"Line {line}, column {header[self.text_column]},"
        try:
            check_text(content, field=field, max_bytes=self._max_text_bytes)
        except RejectedTextError as error:
            code = "text_too_long" if isinstance(error, TextTooLongError) else "invalid_text"
            return CsvRow(line, cells, text=None, problem=RowProblem(line, code, str(error)))
        return CsvRow(line, cells, text=Text(content, language or self._language_of(content)), problem=None)


def _rejected(line: int, cells: tuple[str, ...], code: str, problem: str) -> CsvRow:
    return CsvRow(line, cells, text=None, problem=RowProblem(line, code, f"Line {line} {problem}."))


def _is_undecodable(cell: str) -> bool:
    return not cell.isascii() and any("\ud800" <= c <= "\udfff" for c in cell)
