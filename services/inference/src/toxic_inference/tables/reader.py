"""Rows of an uploaded table as texts to score.

Invariant: every row of the file is returned, in order, with a text to score or with the reason why it can't
be scored and its line.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from toxic_core.errors import InvalidDataError, ToxicError
from toxic_core.languages import primary_language
from toxic_core.tables import (
    NO_OPTIONS,
    Row,
    RowProblem,
    TableOptions,
    language_column,
    open_table,
    text_column,
)
from toxic_inference.serving.errors import RejectedTextError, TextTooLongError
from toxic_inference.serving.interfaces import Text
from toxic_inference.serving.scoring.texts import check_text


class InvalidCsvError(ToxicError):
    """A file that is not a table with a text column, or without a row that can be scored.

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
        cells: as in the file, except that characters that can't be decoded are replaced.
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


class CsvTable:
    """An uploaded file.

    Everything blocks: call it off the event loop.

    Args:
        stream: the file, at its start; it must be able to seek.
        max_text_bytes: longest text, in UTF-8 bytes.
        max_bytes: most bytes of a compressed file's content.
        language_of: returns the language of the text of a row that states none.
        options: what the caller declares of the file.

    Raises:
        InvalidCsvError: the file is not a table, or its text column can't be found.
    """

    def __init__(
        self,
        stream: BinaryIO,
        *,
        max_text_bytes: int,
        max_bytes: int | None = None,
        language_of: Callable[[str], str | None] = lambda _: None,
        options: TableOptions = NO_OPTIONS,
    ) -> None:
        self._max_text_bytes = max_text_bytes
        self._language_of = language_of
        try:
            self._table = open_table(stream, options, max_bytes=max_bytes)
            self.header = self._table.header
            """The names of the columns."""
            self.text_column = text_column(self.header, chosen=options.text_column)
            """Index of the text column."""
            self._language_column = language_column(self.header)
        except InvalidDataError as error:
            raise InvalidCsvError(str(error)) from error

    def rows(self) -> Iterator[CsvRow]:
        """Yield every row except empty lines; raises as `toxic_core.tables.Table.rows`."""
        return map(self._row, self._table.rows())

    def _row(self, row: Row) -> CsvRow:
        line, cells = row.line, row.cells
        if row.problem is not None:
            return CsvRow(line, cells, text=None, problem=row.problem)
        # A cell that is no language code, such as "English", states none.
        stated = "" if self._language_column is None else cells[self._language_column].strip()
        content = cells[self.text_column]
        field = f"Line {line}, column {self.header[self.text_column]},"
        try:
            check_text(content, field=field, max_bytes=self._max_text_bytes)
        except RejectedTextError as error:
            code = "text_too_long" if isinstance(error, TextTooLongError) else "invalid_text"
            return CsvRow(line, cells, text=None, problem=RowProblem(line, code, str(error)))
        language = primary_language(stated) or self._language_of(content)
        return CsvRow(line, cells, text=Text(content, language), problem=None)
