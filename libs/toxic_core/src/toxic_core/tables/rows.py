"""Rows of a table in any format: cells as texts, or the reason why a row can't be read."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time

from toxic_core.errors import InvalidDataError

MAX_COLUMNS = 1_024
MAX_RECORD_CHARACTERS = 1024 * 1024
"""Longest record, and longest line."""

_SURROGATE = re.compile("[\ud800-\udfff]")


class InvalidTableError(InvalidDataError):
    """A file that is no table, or one that can't be read."""


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Why one row can't be used.

    Attributes:
        line: the row's first line in the file, from 1; in a workbook or Parquet file the row's number.
        code: the reason, for programs.
        message: the reason, for people; never quotes the row.
    """

    line: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        line: as in `RowProblem`.
        cells: as many as the table has columns, unless there is a problem; characters that can't be decoded
            are replaced by U+FFFD.
        problem: why the row can't be used.
    """

    line: int
    cells: tuple[str, ...]
    problem: RowProblem | None = None


Rows = Iterator[Row]


def bad_row(line: int, code: str, problem: str, cells: tuple[str, ...] = ()) -> Row:
    """Return a row with a problem; `problem` continues "Line 3"."""
    return Row(line, tuple(map(shown, cells)), RowProblem(line, code, f"Line {line} {problem}."))


def is_undecodable(cell: str) -> bool:
    """Return whether a cell has bytes that aren't in the file's encoding, or half a surrogate pair."""
    return not cell.isascii() and _SURROGATE.search(cell) is not None


def shown(cell: str) -> str:
    """Return a cell as it can be written."""
    return _SURROGATE.sub("\ufffd", cell) if is_undecodable(cell) else cell


def cell_text(value: object) -> str:  # noqa: PLR0911  one per type
    """Return a typed value as a cell: nothing for None and NaN, `true`, `2`, ISO 8601, or JSON."""
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float():
            return "" if value != value else str(value)  # noqa: PLR0124  NaN
        case datetime():
            return value.isoformat(" ")
        case date() | time():
            return value.isoformat()
        case bytes():
            return value.decode("utf-8", "surrogateescape")
        case list() | tuple() | dict():
            return json.dumps(value, ensure_ascii=False, default=str)
        case _:
            return str(value)
