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
    "content,score_toxic,decision_toxic,truncated,low_confidence,scored_language,model_version,line,error\n"
    "Only an idiot would write this.,0.798000,true,false,false,en,3,2,\n"
)
"""An example of a CSV answer, for a model with one label."""

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """A row with its score; None if it has a problem."""

    row: CsvRow
    score: TextScore | None


@dataclass(frozen=True, slots=True)
class CsvForm:
    """The form of a CSV answer: the caller's columns, then the scores'.

    Attributes:
        columns: names of the caller's columns; each row's cells are cut or padded to their number.
        labels: the model's labels, in order.
        model_version: the version that scores the rows.
        policy: the policy that decides, if any.
    """

    columns: Sequence[str]
    labels: Sequence[str]
    model_version: str
    policy: str | None = None

    def header(self) -> str:
        """Return the first line."""
        appended = (
            *(f"score_{label}" for label in self.labels),
            *(f"decision_{label}" for label in self.labels),
            *("truncated", "low_confidence", "scored_language"),
            *(("policy", "decided_by") if self.policy else ()),
            *("model_version", "line", "error"),
        )
        return _csv([[*map(harmless, renamed(self.columns, appended)), *appended]])

    def rows(self, rows: Iterable[ScoredRow]) -> str:
        """Return scored rows as lines, in order."""
        columns, labels = len(self.columns), self.labels
        table: list[list[str]] = []
        for scored in rows:
            row, score = scored.row, scored.score
            cells = [harmless(cell) for cell in row.cells[:columns]]
            cells += [""] * (columns - len(cells))
            if score is None:
                cells += [""] * (2 * len(labels) + 3)
            else:
                cells += (f"{value:.{SCORE_DIGITS}f}" for value in score.scores)
                cells += (str(decision).lower() for decision in score.decisions)
                cells += (str(mark).lower() for mark in (score.truncated, score.low_confidence))
                cells.append((row.text and row.text.language) or "")
            if self.policy:
                decided_by = "list" if score and "list" in score.decided_by else "model"
                cells += [self.policy, decided_by if score else ""]
            problem = row.problem.message if score is None and row.problem else ""
            cells += [self.model_version, "" if row.line is None else str(row.line), harmless(problem)]
            table.append(cells)
        return _csv(table)


def harmless(cell: str) -> str:
    """Return a cell of a caller's that a spreadsheet doesn't take for a formula."""
    if cell.startswith(_FORMULA_STARTS) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def _csv(table: list[list[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(table)
    return buffer.getvalue()
