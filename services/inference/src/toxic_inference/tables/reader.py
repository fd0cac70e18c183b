"""Reading uploaded CSV files (RFC 4180), row by row, in constant memory.

Invariant: every row of the file comes out, in order, either with a text that can be scored or with the reason
why not and its line; a row that is broken never takes its neighbours with it.
"""

import codecs
import csv
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from toxic_inference.http.errors import InvalidCsvError, RowProblem, problem_of
from toxic_inference.http.schemas import LANGUAGE_PATTERN, primary_language
from toxic_inference.serving.errors import RejectedTextError
from toxic_inference.serving.interfaces import Text
from toxic_inference.serving.scoring.texts import check_text

TEXT_COLUMNS = ("content", "comment_text")
LANGUAGE_COLUMNS = ("lang", "language")

_MAX_LINE_BYTES = 1024 * 1024
_MAX_RESUMPTIONS = 1_000
"""How often reading goes back to the line after a broken quote: each time costs up to a field's length, and
a file with more of them isn't a CSV."""

_OTHER_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_BINARY_STARTS = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x1f\x8b": "a gzip file",
    b"PAR1": "a Parquet file",
    codecs.BOM_UTF16_LE: "UTF-16 text",
    codecs.BOM_UTF16_BE: "UTF-16 text",
}


@dataclass(frozen=True, slots=True)
class CsvRow:
    """One row of the file.

    Attributes:
        line: its first line in the file, from 1; None for a text that came beside the file.
        cells: as they stand in the file; bytes that aren't UTF-8 are replaced.
        text: what to score, or
        problem: why it can't be.
    """

    line: int | None
    cells: tuple[str, ...]
    text: Text | None
    problem: RowProblem | None


class _LineTooLongError(Exception):
    """A line over `_MAX_LINE_BYTES`; what follows of it was skipped."""


class _Lines:
    """The file's lines as text, counted, which can be gone back to.

    Bytes that aren't UTF-8 become lone surrogates, so that a row shows whether it had any.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._ahead: deque[str] = deque()
        self._record: list[str] = []
        self.line = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._ahead.popleft() if self._ahead else self._read()
        self.line += 1
        self._record.append(line)
        return line

    def start_record(self) -> int:
        """Forget the record before; return the first line of the next."""
        self._record.clear()
        return self.line + 1

    def go_back(self) -> bool:
        """Return to the record's second line; False where it has only one."""
        rest = self._record[1:]
        self._ahead.extendleft(reversed(rest))
        self.line -= len(rest)
        return bool(rest)

    def _read(self) -> str:
        raw = self._stream.readline(_MAX_LINE_BYTES)
        if not raw:
            raise StopIteration
        if len(raw) == _MAX_LINE_BYTES and not raw.endswith(b"\n"):
            while (more := self._stream.readline(_MAX_LINE_BYTES)) and not more.endswith(b"\n"):
                pass
            self.line += 1
            raise _LineTooLongError
        return raw.decode("utf-8", errors="surrogateescape")


@dataclass(frozen=True, slots=True)
class _Columns:
    header: tuple[str, ...]
    text: int
    language: int | None


class CsvTable:
    """An uploaded CSV with a text column.

    Args:
        stream: the file, at its start. Read from one thread at a time; every read may block.
        max_text_bytes: longest text, in UTF-8 bytes.
        language: of rows that name none.

    Raises:
        InvalidCsvError: it isn't a CSV, or has no column `content` or `comment_text`.
    """

    def __init__(self, stream: BinaryIO, *, max_text_bytes: int, language: str | None = None) -> None:
        _check_start(stream)
        self._lines = _Lines(stream)
        # Strict: a quote in the wrong place is an error of its row, not a guess that swallows the next ones.
        self._reader = csv.reader(self._lines, strict=True)
        self._max_text_bytes = max_text_bytes
        self._language = language
        self._resumptions = 0
        self._columns = _find_columns(self._header())

    @property
    def header(self) -> tuple[str, ...]:
        """The names of the columns."""
        return self._columns.header

    @property
    def text_column(self) -> int:
        """Where in the header the text's column stands."""
        return self._columns.text

    def rows(self) -> Iterator[CsvRow]:
        """Yield every row but empty lines."""
        while True:
            line = self._lines.start_record()
            try:
                cells = next(self._reader, None)
            except _LineTooLongError:
                yield _rejected(line, (), "line_too_long", f"is longer than {_MAX_LINE_BYTES:,} bytes")
                continue
            except csv.Error as error:
                yield _rejected(line, (), "invalid_quoting", f"isn't valid CSV ({error})")
                if self._lines.go_back():
                    self._resumptions += 1
                if self._resumptions > _MAX_RESUMPTIONS:
                    yield _rejected(
                        line + 1, (), "gave_up", "and what follows wasn't read: too many bad quotes"
                    )
                    return
                continue
            if cells is None:
                return
            if cells:
                yield self._row(line, tuple(cells))

    def _header(self) -> tuple[str, ...]:
        self._lines.start_record()
        try:
            cells = next(self._reader, None)
        except _LineTooLongError as error:
            raise InvalidCsvError(
                f"The file isn't a CSV: its first line is longer than {_MAX_LINE_BYTES:,} bytes."
            ) from error
        except csv.Error as error:
            raise InvalidCsvError(f"The file isn't a CSV: its first line can't be read ({error}).") from error
        if not cells:
            raise InvalidCsvError("The file's first line is empty; it must name the columns.")
        return tuple(cells)

    def _row(self, line: int, cells: tuple[str, ...]) -> CsvRow:
        columns = self._columns
        if any(_is_undecodable(cell) for cell in cells):
            shown = tuple(_replace_undecodable(cell) for cell in cells)
            return _rejected(line, shown, "invalid_utf8", "holds bytes that aren't UTF-8")
        if len(cells) != len(columns.header):
            found = f"has {len(cells)} cells; the first line names {len(columns.header)}"
            return _rejected(line, cells, "wrong_cell_count", found)
        language = cells[columns.language].strip().lower() if columns.language is not None else ""
        if language and not LANGUAGE_PATTERN.fullmatch(language):
            return _rejected(line, cells, "invalid_language", "has a language that isn't a code such as en")
        content = cells[columns.text]
        field = f"Line {line}, column {columns.header[columns.text]},"
        try:
            check_text(content, field=field, max_bytes=self._max_text_bytes)
        except RejectedTextError as error:
            problem = RowProblem(line=line, code=problem_of(error).code, message=str(error))
            return CsvRow(line=line, cells=cells, text=None, problem=problem)
        text = Text(content, primary_language(language) or self._language)
        return CsvRow(line=line, cells=cells, text=text, problem=None)


def _check_start(stream: BinaryIO) -> None:
    start = stream.read(4096)
    stream.seek(len(codecs.BOM_UTF8) if start.startswith(codecs.BOM_UTF8) else 0)
    if not start.removeprefix(codecs.BOM_UTF8).strip():
        raise InvalidCsvError("The file is empty; send a CSV with a column named content or comment_text.")
    for magic, kind in _BINARY_STARTS.items():
        if start.startswith(magic):
            raise InvalidCsvError(f"The file is {kind}, not a CSV; export it as CSV in UTF-8.")
    if b"\0" in start.partition(b"\n")[0]:
        raise InvalidCsvError("The file is binary, not a CSV; export it as CSV in UTF-8.")
    if b"\n" not in start and b"\r" in start:
        raise InvalidCsvError("The file's lines end in a carriage return alone; save it with line feeds.")


def _find_columns(header: tuple[str, ...]) -> _Columns:
    if any(_is_undecodable(cell) for cell in header):
        raise InvalidCsvError(
            "The file's first line isn't UTF-8: it is binary, or in another encoding. "
            "Export it as CSV in UTF-8."
        )
    names = [name.strip().lower() for name in header]
    text = next((names.index(name) for name in TEXT_COLUMNS if name in names), None)
    if text is None:
        raise InvalidCsvError(_missing_column(header))
    language = next((names.index(name) for name in LANGUAGE_COLUMNS if name in names), None)
    return _Columns(header=header, text=text, language=language)


def _missing_column(header: tuple[str, ...]) -> str:
    for delimiter, name in _OTHER_DELIMITERS.items():
        if len(header) == 1 and delimiter in header[0]:
            return f"The file's columns are separated by {name}; save it with commas (RFC 4180)."
    shown = ", ".join(repr(name[:40]) for name in header[:20])
    return f"The file has no column named content or comment_text; its first line names {shown}."


def _rejected(line: int, cells: tuple[str, ...], code: str, what: str) -> CsvRow:
    problem = RowProblem(line=line, code=code, message=f"Line {line} {what}.")
    return CsvRow(line=line, cells=cells, text=None, problem=problem)


def _is_undecodable(cell: str) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in cell) if not cell.isascii() else False


def _replace_undecodable(cell: str) -> str:
    return cell.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="replace")
