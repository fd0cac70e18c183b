"""Tables in JSON: one object per line (NDJSON), or a list of objects or texts, in constant memory.

Invariant: a malformed line never affects its neighbours; a list is read up to its first malformed element.
"""

import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import TextIO

from toxic_core.tables.columns import LINES_COLUMN
from toxic_core.tables.delimited import Lines, LineTooLongError
from toxic_core.tables.rows import (
    MAX_RECORD_CHARACTERS,
    InvalidTableError,
    Row,
    RowProblem,
    Rows,
    bad_row,
    cell_text,
)

_LINES = re.compile(r'\ufeff*\s*\{\s*["}]')
_LIST = re.compile(r'\ufeff*\s*\[\s*[\["{\]]')
_SPACE = re.compile(r"\s*")
_NAMED_RECORDS = 1_000
_READ_CHARACTERS = 64 * 1024

Cells = dict[str, str]


def is_json_lines(sample: str) -> bool:
    """Return whether a file that begins with `sample` has a JSON object per line."""
    return _LINES.match(sample) is not None


def is_json_list(sample: str) -> bool:
    """Return whether a file that begins with `sample` is a JSON list of objects or texts."""
    return _LIST.match(sample) is not None


class JsonRecords:
    """Records of named cells as rows.

    The columns are the names in the first 1,000 records, or in fewer if those are long.

    Args:
        records: as `json_lines` and `json_list` yield them.
        lines: what they are read from.

    Raises:
        InvalidTableError: none of these is an object.
    """

    def __init__(self, records: Iterator[tuple[int, Cells | Row]], lines: Lines | None = None) -> None:
        self._lines = lines
        self.place = self._now()
        self._first: list[tuple[int, Cells | Row, tuple[int, int]]] = []
        self._rest = ((*record, self._now()) for record in records)
        names: dict[str, None] = {}
        size = 0
        for first in self._rest:
            self._first.append(first)
            record = first[1]
            if not isinstance(record, Row):
                names |= dict.fromkeys(record)
                size += sum(map(len, record.values()))
            if len(self._first) == _NAMED_RECORDS or size >= MAX_RECORD_CHARACTERS:
                break
        if not names:
            problem = next((row.problem for _, row, _ in self._first if isinstance(row, Row)), None)
            reason = f"; {problem.message}" if problem else "."
            raise InvalidTableError(f"The file is JSON without an object that has members{reason}")
        self.header = tuple(names)

    def _now(self) -> tuple[int, int]:
        return (0, 0) if self._lines is None else (self._lines.position, self._lines.line)

    def __iter__(self) -> Rows:
        """Yield every record; `place` is the position and the line after it."""
        known = set(self.header)
        for line, record, place in chain(self._first, self._rest):
            self.place = place
            if isinstance(record, Row):
                yield record
            elif unknown := record.keys() - known:
                problem = f"has a member {min(unknown)[:40]!r}, which the first records lack"
                yield bad_row(line, "unknown_member", problem)
            else:
                yield Row(line, tuple(record.get(name, "") for name in self.header))


def json_lines(lines: Lines) -> Iterator[tuple[int, Cells | Row]]:
    """Yield the lines of an NDJSON file, except empty ones, with their numbers."""
    while True:
        number = lines.start_record()
        try:
            line = next(lines, None)
        except LineTooLongError:
            problem = f"is longer than {MAX_RECORD_CHARACTERS:,} characters"
            yield number, bad_row(number, "line_too_long", problem)
            continue
        if line is None:
            return
        if line.strip(" \t\r\n\ufeff"):
            yield number, _read(number, line.lstrip("\ufeff"))


def _read(number: int, line: str) -> Cells | Row:
    try:
        return _cells(json.loads(line, object_pairs_hook=_Members))
    except _InvalidRecordError as error:
        return bad_row(number, "invalid_record", str(error))
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "a value can't be read"
        return bad_row(number, "malformed_json", f"is not JSON: {reason}")


class _Members(list[tuple[str, object]]):
    """An object's members, with those that have the same name."""


class _InvalidRecordError(Exception):
    """A record that isn't an object with distinct names."""


def _cells(value: object) -> Cells:
    if isinstance(value, str):
        return {LINES_COLUMN: value}
    if not isinstance(value, _Members):
        raise _InvalidRecordError("is not a JSON object")
    cells = {name: cell_text(_plain(member)) for name, member in value}
    if len(cells) < len(value):
        raise _InvalidRecordError("has a member twice")
    return cells


def _plain(value: object) -> object:
    if isinstance(value, _Members):
        return {name: _plain(member) for name, member in value}
    return list(map(_plain, value)) if isinstance(value, list) else value


def json_list(text: TextIO) -> Iterator[tuple[int, Cells | Row]]:
    """Yield the elements of a JSON list, with their numbers from 1."""
    decoder = json.JSONDecoder(object_pairs_hook=_Members)
    buffer, at, ended = text.read(_READ_CHARACTERS).lstrip("\ufeff"), 0, False
    at = buffer.index("[") + 1
    number = 1
    while True:
        at = _end_of_space(buffer, at)
        if buffer[at : at + 1] == "]":
            return
        try:
            value, end = decoder.raw_decode(buffer, at)
            after = _end_of_space(buffer, end)
            # A number at the end of the buffer may go on.
            complete = buffer[after : after + 1] in {",", "]"} if after < len(buffer) else False
        except RecursionError:
            complete, ended = False, True
        except ValueError:  # no JSON, or an integer of more digits than Python reads
            complete = False
        if not complete:
            more = "" if ended or len(buffer) - at > MAX_RECORD_CHARACTERS else text.read(_READ_CHARACTERS)
            if not more:
                message = f"Element {number} and the rest were not read: this is no JSON."
                yield number, Row(number, (), RowProblem(number, "malformed_json", message))
                return
            buffer, at = buffer[at:] + more, 0
            continue
        try:
            yield number, _cells(value)
        except _InvalidRecordError as error:
            yield number, bad_row(number, "invalid_record", str(error))
        except RecursionError:
            yield number, bad_row(number, "invalid_record", "is nested too deeply")
        number += 1
        at = after + (buffer[after] == ",")


def _end_of_space(buffer: str, at: int) -> int:
    found = _SPACE.match(buffer, at)
    return found.end() if found else at
