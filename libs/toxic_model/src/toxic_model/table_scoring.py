"""Scores and decisions for tables of comments, as serving gives them.

Invariant: a row's scores depend only on its text and its language, so a table may be scored in any chunks and
by any number of processes; rows keep their order.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toxic_core.contract import Contract
from toxic_core.errors import InvalidDataError
from toxic_core.tables import language_code, language_column, text_column
from toxic_core.text import is_blank
from toxic_model.loaded import LoadedModel
from toxic_model.scoring import ScoringOptions

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
    """Return the names of the columns that scoring appends: scores, decisions, the version, the error."""
    labels = [str(label) for label in contract.labels]
    scores, decisions = ([f"{kind}_{label}" for label in labels] for kind in ("score", "decision"))
    return (*scores, *decisions, MODEL_VERSION, ERROR)


def check_free(columns: Sequence[str], contract: Contract) -> None:
    """Refuse a table that already has a column of scoring's output.

    Raises:
        InvalidDataError: the message names the column.
    """
    if taken := sorted(set(output_names(contract)) & set(columns)):
        raise InvalidDataError(
            f"The table already has a column {taken[0]}. Rename it, or score the original table."
        )


@dataclass(frozen=True, slots=True)
class TableScorer:
    """Scores tables, or chunks of them, by one model version.

    Attributes:
        model: scores the texts.
        version: the version's name in the output.
        options: how texts are read.
        column: the name of the text column; None to find it by the names in `toxic_core.tables`.
        option: how users choose the text column, for error messages.
    """

    model: LoadedModel
    version: str
    options: ScoringOptions
    column: str | None = None
    option: str = "text_column"

    def score(self, columns: Sequence[str], cells: Cells) -> list[OutputColumn]:
        """Return the columns to append; a row without a text gets an error instead of scores.

        A column `lang` or `language` chooses among the model's calibrations and thresholds.

        Args:
            columns: the table's column names.
            cells: returns a column's cells.

        Raises:
            InvalidDataError: no single column of texts was found.
        """
        at = text_column(columns, chosen=self.column, option=self.option)
        texts = [cell if isinstance(cell, str) and not is_blank(cell) else "" for cell in cells(at)]
        missing = np.array([not text for text in texts], dtype=bool)
        rows = np.flatnonzero(~missing)
        language = language_column(columns)
        stated = [""] * len(texts) if language is None else [language_code(cell) for cell in cells(language)]
        found = self.model.score(
            [texts[row] for row in rows], [stated[row] for row in rows], options=self.options
        )
        scores = np.full((len(texts), found.scores.shape[1]), np.nan, dtype=np.float32)
        decisions = np.zeros(scores.shape, dtype=bool)
        scores[rows], decisions[rows] = found.scores, found.decisions
        nowhere = np.zeros(len(texts), dtype=bool)
        values: list[tuple[NDArray[np.generic], NDArray[np.bool_]]] = [
            *((column, missing) for column in scores.T),
            *((column, missing) for column in decisions.T),
            (np.array([self.version] * len(texts), dtype=object), nowhere),
            (np.array([NO_TEXT if empty else "" for empty in missing], dtype=object), nowhere),
        ]
        names = output_names(self.model.contract)
        return [OutputColumn(name, *column) for name, column in zip(names, values, strict=True)]
