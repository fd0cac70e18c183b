"""Writing scores as CSV that a spreadsheet can open without running anything.

Invariant: every cell that came from a caller and could start a formula is preceded by an apostrophe (OWASP,
"CSV Injection"); every row that was read is written, in order.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from toxic_core.tables import renamed
from toxic_inference.serving.interfaces import TextScore
from toxic_inference.tables.reader import CsvRow

SCORE_DIGITS = 6
"""Decimal digits of a score in an answer."""

SCORED_CSV = (
    "content,score_toxic,decision_toxic,truncated,model_version,line,error\n"
    "Only an idiot would write this.,0.798000,true,false,3,2,\n"
)
"""An example of a CSV answer, for a model with one label."""

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """A row with its score; None if it has a problem."""

    row: CsvRow
    score: TextScore | None


def csv_header(columns: Sequence[str], labels: Sequence[str]) -> str:
    """Return the first line of a CSV answer: the caller's columns, then the scores'."""
    appended = (
        *(f"score_{label}" for label in labels),
        *(f"decision_{label}" for label in labels),
        *("truncated", "model_version", "line", "error"),
    )
    return _csv([[*map(_safe, renamed(columns, appended)), *appended]])


def csv_rows(rows: Iterable[ScoredRow], *, columns: int, labels: Sequence[str], model_version: str) -> str:
    """Return scored rows as lines of a CSV answer.

    Args:
        rows: rows in order.
        columns: number of the caller's columns; each row's cells are cut or padded to it.
        labels: the model's labels, in order.
        model_version: the version that scored the rows.
    """
    table: list[list[str]] = []
    for scored in rows:
        row, score = scored.row, scored.score
        cells = [_safe(cell) for cell in row.cells[:columns]]
        cells += [""] * (columns - len(cells))
        if score is None:
            cells += [""] * (2 * len(labels) + 1)
        else:
            cells += (f"{value:.{SCORE_DIGITS}f}" for value in score.scores)
            cells += (str(decision).lower() for decision in score.decisions)
            cells.append(str(score.truncated).lower())
        problem = row.problem.message if score is None and row.problem else ""
        cells += [model_version, "" if row.line is None else str(row.line), _safe(problem)]
        table.append(cells)
    return _csv(table)


def _safe(cell: str) -> str:
    if cell.startswith(_FORMULA_STARTS) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def _csv(table: list[list[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(table)
    return buffer.getvalue()
