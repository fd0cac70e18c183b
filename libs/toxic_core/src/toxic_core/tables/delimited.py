"""Delimited text (RFC 4180 and its dialects), row by row, in constant memory.

Invariant: every record of the file is returned, in order, as cells or with the reason why it can't be read;
a malformed record never affects its neighbours.
"""

import csv
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import TextIO

from toxic_core.errors import InvalidDataError
from toxic_core.tables.columns import text_column
from toxic_core.tables.rows import MAX_RECORD_CHARACTERS, InvalidTableError, Row, Rows, bad_row

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
_SNIFFED_RECORDS = 20
_SEPARATOR_LINE = re.compile(r'(?i)\ufeff*"?sep=(.)"?[,;\t|]*\r?\n?')
"""Excel's first line, such as `sep=;`, which names the delimiter."""
_MAX_RESUMPTIONS = 1_000
_MAX_REREAD_CHARACTERS = 16 * 1024 * 1024
"""How often reading goes back to the line after a malformed quote, and for how much more than was read; a
file with more of them is not a CSV."""

_QUOTING = ("invalid_quoting", "is not valid CSV ({error})")
_MALFORMED = {
    "new-line character seen in unquoted field": (
        "invalid_quoting",
        "has a carriage return in a cell without quotes",
    ),
}
"""Codes and reasons for the messages of the module `csv` that blame something else."""


class InvalidRecordError(Exception):
    """A record that is too long to be kept."""


class LineTooLongError(InvalidRecordError):
    """A line over `MAX_RECORD_CHARACTERS`; its rest was skipped."""


class RecordTooLongError(InvalidRecordError):
    """A record of several lines over `MAX_RECORD_CHARACTERS`."""


class Lines:
    """Iterator over a text's lines, which counts them and can go back.

    Args:
        text: opened with a `newline` that isn't translated.
        measure: returns the size of a line in the file.
    """

    def __init__(self, text: TextIO, *, measure: Callable[[str], int] = len) -> None:
        self._text = text
        self._measure = measure
        self._ahead: deque[str] = deque()
        self._record: list[str] = []
        self._record_size = 0
        self.line = 0
        """Number of the last line that was returned, from 1."""
        self.position = 0
        """Sum of the sizes of the lines that were returned."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._ahead:
            line = self._ahead.popleft()
        elif not (line := self._text.readline(MAX_RECORD_CHARACTERS)):
            raise StopIteration
        self.line += 1
        self.position += self._measure(line)
        if len(line) == MAX_RECORD_CHARACTERS and not line.endswith(("\n", "\r")):
            while more := self._text.readline(MAX_RECORD_CHARACTERS):
                self.position += self._measure(more)
                if more.endswith(("\n", "\r")):
                    break
            raise LineTooLongError
        self._record.append(line)
        self._record_size += len(line)
        if self._record_size > MAX_RECORD_CHARACTERS:
            raise RecordTooLongError
        return line

    def start_record(self) -> int:
        """Start a new record; return the number of its first line."""
        self._record.clear()
        self._record_size = 0
        return self.line + 1

    def go_back(self, lines: int = 1) -> int:
        """Return to the record's line after its first `lines`; return how many characters are read again."""
        rest = self._record[lines:]
        self._ahead.extendleft(reversed(rest))
        self.line -= len(rest)
        self.position -= sum(map(self._measure, rest))
        return sum(map(len, rest))


def find_delimiter(lines: Sequence[str], *, chosen_column: str | None) -> str:
    """Return the delimiter of a file that begins with these lines.

    It is the one that gives the header a text column; then the one by which the most records have as many
    cells as the header; then the first of `DELIMITERS`.
    """

    def fit(delimiter: str) -> tuple[bool, float, int]:
        records: list[list[str]] = []
        with suppress(csv.Error):
            records += islice(csv.reader(lines, delimiter=delimiter), _SNIFFED_RECORDS)
        header, *rows = [cells for cells in records if cells] or [[""]]
        try:
            text_column(header, chosen=chosen_column)
            found = True
        except InvalidDataError:
            found = False
        alike = sum(len(cells) == len(header) for cells in rows) / max(1, len(rows))
        return found, alike * (len(header) > 1), len(header)

    return max(DELIMITERS.values(), key=fit)


class DelimitedRecords:
    """The records of a delimited text.

    Args:
        lines: the text.
        sample: its first lines, to find the delimiter.
        delimiter: the delimiter, if the caller declares it.
        chosen_column: name of the text column, if the caller declares it.

    Raises:
        InvalidTableError: its header can't be read.
    """

    def __init__(
        self, lines: Lines, *, sample: Sequence[str], delimiter: str | None, chosen_column: str | None
    ) -> None:
        self._lines = lines
        if found := _SEPARATOR_LINE.fullmatch(sample[0]):
            next(lines)
            sample = sample[1:]
            delimiter = delimiter or found[1]
        self.delimiter = delimiter or find_delimiter(sample, chosen_column=chosen_column)
        # One limit per process, 131,072 characters by default; `Lines` bounds the record, so the cell too.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD_CHARACTERS))
        # Strict: a misplaced quote is an error of its row; a guess could swallow the next rows.
        self._reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
        self.header = self._read_header()

    @property
    def place(self) -> tuple[int, int]:
        """The position and the line after the last record."""
        return self._lines.position, self._lines.line

    def _read_header(self) -> tuple[str, ...]:
        try:
            for cells in self._reader:
                if any(map(str.strip, cells)):
                    return tuple(cells)
        except LineTooLongError as error:
            raise InvalidTableError(
                "The file is not a table: its first line is longer than "
                f"{MAX_RECORD_CHARACTERS:,} characters."
            ) from error
        except (csv.Error, RecordTooLongError) as error:
            reason = str(error) or "a cell has no end"
            raise InvalidTableError(
                f"The file is not a table: its first line can't be read ({reason})."
            ) from error
        raise InvalidTableError("The file is empty; it needs a line of column names and rows.")

    def __iter__(self) -> Rows:
        """Yield every record after the header, except empty lines."""
        lines = self._lines
        resumptions = reread = 0
        while True:
            line = lines.start_record()
            try:
                cells = next(self._reader, None)
            except LineTooLongError:
                yield bad_row(line, "line_too_long", f"is longer than {MAX_RECORD_CHARACTERS:,} characters")
                continue
            except (csv.Error, RecordTooLongError) as error:
                code, problem = _MALFORMED.get(str(error).partition(" - ")[0], _QUOTING)
                again = lines.go_back()
                yield bad_row(line, code, problem.format(error=str(error) or "a cell doesn't end"))
                resumptions += again > 0
                reread += again
                if resumptions > _MAX_RESUMPTIONS or reread > _MAX_REREAD_CHARACTERS + lines.position:
                    yield bad_row(
                        line + 1, "gave_up", "and the rest were not read: too many malformed quotes"
                    )
                    return
                continue
            if cells is None:
                return
            if cells:
                yield Row(line, tuple(cells))
