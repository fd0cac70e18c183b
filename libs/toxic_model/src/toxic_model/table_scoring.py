"""Scores and decisions for tables of comments, as serving gives them.

Invariant: a row's scores depend only on its text and its language, so a table may be scored in any chunks and
by any number of processes; rows keep their order.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toxic_core.contract import Contract
from toxic_core.languages import Language, primary_language
from toxic_core.tables import language_column, renamed, text_column
from toxic_core.text import is_blank
from toxic_model.identification import identify_language
from toxic_model.loaded import LoadedModel
from toxic_model.scoring import ScoringOptions

LOW_CONFIDENCE = "low_confidence"
MODEL_VERSION = "model_version"
ERROR = "error"
NO_TEXT = "has no text to score"

Cells = Callable[[int], Iterable[object]]
"""Returns the cells of a table's column by its index; a cell that is no string counts as missing."""


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """A column to append to a table.

    Attributes:
        name: of the column.
        cells: one per row: float32, bool or str.
        missing: the rows without a value, bool [rows].
    """

    name: str
    cells: NDArray[np.generic]
    missing: NDArray[np.bool_]


def output_names(contract: Contract) -> tuple[str, ...]:
    """Return the names of the columns that scoring appends: scores, decisions, and facts about the row."""
    labels = [str(label) for label in contract.labels]
    scores, decisions = ([f"{kind}_{label}" for label in labels] for kind in ("score", "decision"))
    return (*scores, *decisions, LOW_CONFIDENCE, MODEL_VERSION, ERROR)


@dataclass(frozen=True, slots=True)
class TableScorer:
    """Scores tables, or chunks of them, by one model version.

    Attributes:
        model: scores the texts.
        version: the version's name in the output.
        options: how texts are read.
        column: the name of the text column; None to find it by the names in `toxic_core.tables`.
        option: how users choose the text column, for error messages.
        default_language: the language of short texts for which none is stated, as in serving.
    """

    model: LoadedModel
    version: str
    options: ScoringOptions
    column: str | None = None
    option: str = "text_column"
    default_language: str = Language.ENGLISH

    def kept_names(self, columns: Sequence[str]) -> list[str]:
        """Return the names of a table's columns beside those that scoring appends."""
        return renamed(columns, output_names(self.model.contract))

    def score(
        self, columns: Sequence[str], cells: Cells, *, problems: Sequence[str] | None = None
    ) -> list[OutputColumn]:
        """Return the columns to append; a row without a text gets an error instead of scores.

        A column `lang` or `language` chooses among the model's calibrations and thresholds; languages that
        it doesn't state are identified.

        Args:
            columns: the table's column names.
            cells: returns a column's cells.
            problems: why each row can't be scored, from its reader; empty if it can.

        Raises:
            InvalidDataError: no single column of texts was found.
        """
        at = text_column(columns, chosen=self.column, option=self.option)
        given = [cell if isinstance(cell, str) and not is_blank(cell) else "" for cell in cells(at)]
        reasons = problems or [""] * len(given)
        texts = ["" if reason else text for text, reason in zip(given, reasons, strict=True)]
        missing = np.array([not text for text in texts], dtype=bool)
        rows = np.flatnonzero(~missing)
        language = language_column(columns)
        stated = [""] * len(texts) if language is None else [*map(_stated, cells(language))]
        languages = [stated[row] or identify_language(texts[row], self.default_language) for row in rows]
        found = self.model.score([texts[row] for row in rows], languages, options=self.options)
        scores = np.full((len(texts), found.scores.shape[1]), np.nan, dtype=np.float32)
        decisions = np.zeros(scores.shape, dtype=bool)
        scores[rows], decisions[rows] = found.scores, found.decisions
        low_confidence = np.zeros(len(texts), dtype=bool)
        low_confidence[rows] = found.low_confidence
        nowhere = np.zeros(len(texts), dtype=bool)
        errors = [
            reason or (NO_TEXT if empty else "") for reason, empty in zip(reasons, missing, strict=True)
        ]
        values: list[tuple[NDArray[np.generic], NDArray[np.bool_]]] = [
            *((column, missing) for column in scores.T),
            *((column, missing) for column in decisions.T),
            (low_confidence, missing),
            (np.array([self.version] * len(texts), dtype=object), nowhere),
            (np.array(errors, dtype=object), nowhere),
        ]
        names = output_names(self.model.contract)
        return [OutputColumn(name, *column) for name, column in zip(names, values, strict=True)]


def _stated(cell: object) -> str:
    """Return a cell's language; empty if it is no language code, such as "English"."""
    return (primary_language(cell.strip()) or "") if isinstance(cell, str) else ""
