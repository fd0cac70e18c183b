"""Rows with their scores, as CSV or JSON lines."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TextIO

from toxic_core.tables import Row
from toxic_model.table_scoring import TableScorer

Value = str | float | bool | None
"""A cell; None if it is missing."""

Write = Callable[[Iterable[Sequence[Value]]], None]
"""Writes rows."""

_DIGITS = 6


def scored_rows(chunk: Sequence[Row], columns: Sequence[str], scorer: TableScorer) -> Iterator[list[Value]]:
    """Yield the rows with their scores, in the order of the result's names; the last one is the error."""
    width = len(columns)
    cells = [(*row.cells[:width], *[""] * (width - len(row.cells))) for row in chunk]
    problems = [row.problem.message if row.problem else "" for row in chunk]
    appended = scorer.score(columns, lambda index: [row[index] for row in cells], problems=problems)
    values = [
        [None if missing else value for value, missing in zip(each.cells.tolist(), each.missing, strict=True)]
        for each in appended
    ]
    for row, scores in zip(cells, zip(*values, strict=True), strict=True):
        yield [*row, *scores]


def write_csv(stream: TextIO, names: Sequence[str]) -> Write:
    """Write the line of names, and return what writes rows."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)

    def cell(value: Value) -> str:
        match value:
            case bool():
                return str(value).lower()
            case float():
                return f"{value:.{_DIGITS}f}"
            case _:
                return value or ""

    def write(rows: Iterable[Sequence[Value]]) -> None:
        writer.writerows([cell(value) for value in row] for row in rows)

    return write


def write_jsonl(stream: TextIO, names: Sequence[str]) -> Write:
    """Return what writes rows as objects, one per line; a missing cell is null."""

    def write(rows: Iterable[Sequence[Value]]) -> None:
        for row in rows:
            cells = [round(value, _DIGITS) if isinstance(value, float) else value for value in row]
            stream.write(json.dumps(dict(zip(names, cells, strict=True)), ensure_ascii=False) + "\n")

    return write


WRITERS: dict[str, Callable[[TextIO, Sequence[str]], Write]] = {"csv": write_csv, "jsonl": write_jsonl}
"""By the name of the format."""
