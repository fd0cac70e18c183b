"""One way to read a table of comments, for uploads, jobs, batches and training alike.

The format is found in the bytes: delimited text, NDJSON, a JSON list, a workbook or Parquet, each also in a
gzip file or in a ZIP file with one member.

Invariant: every row of the file is returned, in order, as cells or with the reason why it can't be used.
"""

import codecs
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO, Protocol, cast

from toxic_core.errors import InvalidDataError
from toxic_core.tables.columns import LINES_COLUMN, check_unique, text_column
from toxic_core.tables.delimited import DELIMITERS, DelimitedRecords, Lines, LineTooLongError
from toxic_core.tables.encodings import MARKED, encoding_named, find_encoding, is_bytewise
from toxic_core.tables.json_records import JsonRecords, is_json_lines, is_json_list, json_lines, json_list
from toxic_core.tables.parquet import ParquetRecords
from toxic_core.tables.rows import (
    MAX_COLUMNS,
    MAX_RECORD_CHARACTERS,
    InvalidTableError,
    Row,
    Rows,
    bad_row,
    is_undecodable,
)
from toxic_core.tables.unpacking import GZIP, OLD_EXCEL, PARQUET, ZIP, unpacked
from toxic_core.tables.workbooks import WorkbookRecords

_SAMPLE_BYTES = 64 * 1024
_MARK_BYTES = 4
_FIRST_LINE = re.compile(r'(?:"[^"]*"|[^"\r\n])*(\r*\n|\r)')
"""A line up to its end: a line break outside quotes."""


@dataclass(frozen=True, slots=True)
class TableOptions:
    """What a caller declares of a table; None for what is found in it.

    Attributes:
        encoding: of a text without a byte order mark, such as `windows-1252`; UTF-8 if None.
        delimiter: one of `DELIMITERS`, or its name.
        text_column: name of the text column.

    Raises:
        InvalidDataError: the encoding or the delimiter is another one.
    """

    encoding: str | None = None
    delimiter: str | None = None
    text_column: str | None = None

    def __post_init__(self) -> None:
        named = DELIMITERS.get(self.delimiter or "", self.delimiter)
        if named is not None and named not in DELIMITERS.values():
            names = ", ".join(f"{name} ({mark!r})" for name, mark in DELIMITERS.items())
            raise InvalidDataError(f"The delimiter {named[:10]!r} is not read; declare one of {names}.")
        object.__setattr__(self, "delimiter", named)
        if self.encoding is not None:
            object.__setattr__(self, "encoding", encoding_named(self.encoding))


NO_OPTIONS = TableOptions()


class _Records(Protocol):
    @property
    def header(self) -> tuple[str, ...]: ...
    def __iter__(self) -> Rows: ...


class _TextRecords(_Records, Protocol):
    @property
    def place(self) -> tuple[int, int]: ...


class Table:
    """An opened table. Everything blocks.

    Attributes:
        header: the names of the columns.
        delimiter: of delimited text; else None.
        encoding: of a text; else None.
    """

    def __init__(
        self,
        records: _Records,
        *,
        options: TableOptions,
        text: _TextRecords | None = None,
        delimiter: str | None = None,
        encoding: str | None = None,
    ) -> None:
        if not records.header:
            raise InvalidTableError("The file has no columns; it needs one of texts.")
        first, *others = records.header
        header = (first.lstrip("\ufeff"), *others)
        if len(header) > MAX_COLUMNS:
            raise InvalidTableError(f"The file has {len(header):,} columns; the limit is {MAX_COLUMNS:,}.")
        if any(map(is_undecodable, header)):
            raise InvalidTableError(
                f"The file's first line is not {encoding or 'utf-8'}: the file is binary or has another "
                "encoding. Declare it, such as encoding=windows-1252, or save the file in UTF-8."
            )
        check_unique(header)
        self.header = header
        self.delimiter = delimiter
        self.encoding = encoding
        self._records = records
        self._text_records = text
        named = (index for index, name in enumerate(header, start=1) if name.strip())
        self._required = max(named, default=0)
        try:
            self._text: int | None = text_column(header, chosen=options.text_column)
        except InvalidDataError:
            self._text = None

    @property
    def place(self) -> tuple[int, int] | None:
        """The byte and the line after the header or the row that was read last.

        None if reading can't start there: the file isn't text, or is compressed.
        """
        return None if self._text_records is None else self._text_records.place

    def rows(self) -> Rows:
        """Yield every row except empty lines.

        Empty cells beyond the columns are dropped; cells that are missing after the text column are empty.

        Raises:
            InvalidTableError: a compressed or binary file is damaged.
        """
        for row in self._records:
            yield row if row.problem else self._fitted(row)

    def _fitted(self, row: Row) -> Row:
        cells, columns = row.cells, len(self.header)
        if any(map(is_undecodable, cells)):
            code = "invalid_utf8" if self.encoding in {None, "utf-8"} else "invalid_encoding"
            declare = "; declare the file's encoding" if code == "invalid_utf8" else ""
            problem = f"contains bytes that are not {(self.encoding or 'utf-8').upper()}{declare}"
            return bad_row(row.line, code, problem, cells)
        if any("\0" in cell for cell in cells):
            return bad_row(row.line, "invalid_character", "contains a NUL character", cells)
        if len(cells) == columns:
            return row
        covered = self._text is not None and len(cells) > self._text
        if not any(cells[columns:]) and (covered or len(cells) >= self._required):
            return Row(row.line, cells[:columns] + ("",) * (columns - len(cells)))
        problem = f"has {len(cells)} cells; the first line names {columns}"
        return bad_row(row.line, "wrong_cell_count", problem, cells[:columns])


def open_table(
    stream: BinaryIO,
    options: TableOptions = NO_OPTIONS,
    *,
    max_bytes: int | None = None,
    skipped_lines: int = 0,
) -> Table:
    """Open a table.

    Args:
        stream: the file, at its start; it must be able to seek. It isn't closed.
        options: what the caller declares.
        max_bytes: most bytes of a compressed file's content; None for no limit.
        skipped_lines: lines that were left out, if this is a part of a file.

    Raises:
        InvalidDataError: the file isn't a table, or has a column twice.
    """
    content, packed = unpacked(stream, max_bytes=max_bytes)
    start = content.read(_SAMPLE_BYTES)
    content.seek(0)
    for magic, read in _BINARY_FORMATS.items():
        if start.startswith(magic):
            return Table(read(content, max_bytes=max_bytes), options=options)
    if start.startswith((OLD_EXCEL, GZIP)):
        kind = "an old or protected Excel workbook" if start.startswith(OLD_EXCEL) else "compressed twice"
        raise InvalidTableError(f"The file is {kind}; save it as .xlsx or CSV.")
    encoding, mark = find_encoding(start, options.encoding)
    sample = codecs.getincrementaldecoder(encoding)(MARKED).decode(start[mark:])
    _check_text(sample, start)
    first_end = _FIRST_LINE.match(sample)
    newline = "\r" if first_end is not None and first_end[1] == "\r" else "\n"
    content.seek(mark)
    text = io.TextIOWrapper(content, encoding=encoding, errors=MARKED, newline=newline)
    can_cut = not packed and is_bytewise(encoding) and newline == "\n"
    lines = Lines(text, measure=_size_in(encoding) if can_cut else len)
    lines.position, lines.line = mark, skipped_lines
    if is_json_list(sample):
        return Table(JsonRecords(json_list(text)), options=options, encoding=encoding)
    if is_json_lines(sample):
        records = JsonRecords(json_lines(lines), lines)
        return Table(records, options=options, text=records if can_cut else None, encoding=encoding)
    delimited = DelimitedRecords(
        lines,
        sample=list(islice(io.StringIO(sample, newline=newline), 1_000)),
        delimiter=options.delimiter,
        chosen_column=options.text_column,
    )
    return Table(
        delimited,
        options=options,
        text=delimited if can_cut else None,
        delimiter=delimited.delimiter,
        encoding=encoding,
    )


def open_lines(stream: BinaryIO, options: TableOptions = NO_OPTIONS) -> Table:
    """Open a text with a comment per line as a table with one column, `text`.

    Args:
        stream: the text; it needn't be able to seek, and is read as its rows are.
        options: what the caller declares; only the encoding counts, and a byte order mark goes before it.
    """
    buffered = (
        stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", stream))
    )
    encoding, _ = find_encoding(buffered.peek(_MARK_BYTES), options.encoding)
    text = io.TextIOWrapper(buffered, encoding=encoding, errors=MARKED, newline="")
    return Table(_LineRecords(Lines(text)), options=NO_OPTIONS, encoding=encoding)


class _LineRecords:
    """Lines as rows of one cell; empty ones are skipped."""

    header = (LINES_COLUMN,)

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def __iter__(self) -> Rows:
        while True:
            number = self._lines.start_record()
            try:
                line = next(self._lines, None)
            except LineTooLongError:
                yield bad_row(number, "line_too_long", f"is longer than {MAX_RECORD_CHARACTERS:,} characters")
                continue
            if line is None:
                return
            if cell := line.strip("\ufeff\r\n"):
                yield Row(number, (cell,))


_BINARY_FORMATS: dict[bytes, Callable[..., _Records]] = {ZIP: WorkbookRecords, PARQUET: ParquetRecords}


def _check_text(sample: str, start: bytes) -> None:
    if not sample.strip("\ufeff\r\n\t "):
        raise InvalidTableError("The file is empty; it needs a line of column names and rows.")
    if "\0" in sample.partition("\n")[0]:
        zeros = sorted((start[:64:2].count(0), start[1:64:2].count(0)))
        if zeros[0] == 0 and zeros[1] > len(start[:64]) // 4:
            raise InvalidTableError(
                "The file is UTF-16 without a byte order mark; declare encoding=utf-16-le or utf-16-be."
            )
        raise InvalidTableError("The file is binary, not a table; save it as CSV or .xlsx.")


def _size_in(encoding: str) -> Callable[[str], int]:
    def size(line: str) -> int:
        return len(line) if line.isascii() else len(line.encode(encoding, "surrogateescape"))

    return size
