"""Writing scores: as JSON, and as CSV that a spreadsheet can open without running anything.

Invariant: every cell of a CSV answer that came from a caller and could start a formula is preceded by an
apostrophe (OWASP, "CSV Injection"); every row that went in comes out, in order.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from toxic_core.labels import LABELS
from toxic_inference.serving.interfaces import Span, TextScore
from toxic_inference.tables.reader import CsvRow

_SCORE_DIGITS = 6
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """A row with its score; None where it has a problem."""

    row: CsvRow
    score: TextScore | None


def score_json(score: TextScore, *, line: int | None = None) -> dict[str, object]:
    """Return one text's scores as the native routes show them."""
    answer: dict[str, object] = {} if line is None else {"line": line}
    answer["scores"] = {
        label: round(value, _SCORE_DIGITS) for label, value in zip(LABELS, score.scores, strict=True)
    }
    answer["decisions"] = dict(zip(LABELS, score.decisions, strict=True))
    answer["tokens"] = score.tokens
    answer["windows"] = score.windows
    answer["truncated"] = score.truncated
    return answer


def spans_json(spans: Sequence[Span]) -> list[dict[str, object]]:
    """Return what drove one text's scores as the native routes show it."""
    return [
        {
            "begin": span.begin,
            "end": span.end,
            "influence": {
                label: round(value, _SCORE_DIGITS)
                for label, value in zip(LABELS, span.influence, strict=True)
            },
        }
        for span in spans
    ]


def csv_header(columns: Sequence[str]) -> str:
    """Return the first line of a CSV answer: the caller's columns, then ours."""
    return _line(
        [
            *(_safe(name) for name in columns),
            *(f"score_{label}" for label in LABELS),
            *(f"decision_{label}" for label in LABELS),
            "truncated",
            "model_version",
            "line",
            "error",
        ]
    )


def csv_rows(rows: Iterable[ScoredRow], *, width: int, model_version: str) -> str:
    """Return scored rows as lines of a CSV answer, the caller's cells cut or filled up to `width`."""
    return "".join(_line(_cells(scored, width=width, model_version=model_version)) for scored in rows)


def _cells(scored: ScoredRow, *, width: int, model_version: str) -> list[str]:
    row, score = scored.row, scored.score
    given = [_safe(cell) for cell in row.cells[:width]]
    given += [""] * (width - len(given))
    line = "" if row.line is None else str(row.line)
    if score is None:
        problem = row.problem.message if row.problem else ""
        return [*given, *[""] * (2 * len(LABELS) + 1), model_version, line, _safe(problem)]
    return [
        *given,
        *(f"{value:.{_SCORE_DIGITS}f}" for value in score.scores),
        *(str(decision).lower() for decision in score.decisions),
        str(score.truncated).lower(),
        model_version,
        line,
        "",
    ]


def _safe(cell: str) -> str:
    if cell.startswith(_FORMULA_STARTS) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def _line(cells: list[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()
