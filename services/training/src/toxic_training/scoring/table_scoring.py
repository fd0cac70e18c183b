"""Scores and decisions for tables of comments, as serving gives them.

Invariant: a row's scores depend on its text and language alone, so a table may be scored in any chunks, and
by any number of processes.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from toxic_core.errors import InvalidDataError
from toxic_core.text import normalise
from toxic_training.data.comments import LABEL_COLUMNS, LANGUAGE, TEXT
from toxic_training.data.languages import language_code
from toxic_training.data.schemas import find_language, find_text
from toxic_training.evaluation.operating_point import SCORE_COLUMNS, OperatingPoint
from toxic_training.scoring.texts import Scorer

Clock = Callable[[], float]

logger = logging.getLogger(__name__)

DECISION_COLUMNS = [f"decision_{label}" for label in LABEL_COLUMNS]
MODEL_VERSION = "model_version"
ERROR = "error"
NO_TEXT = "has no text to score"

_LOG_EVERY_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class TableScorer:
    """Scores chunks of a table.

    Attributes:
        scorer: gives raw scores.
        point: how they are calibrated and decided on.
        version: the model's, for the table.
    """

    scorer: Scorer
    point: OperatingPoint
    version: str

    def score(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return `table` with `score_<label>`, `decision_<label>`, `model_version` and `error`.

        Texts are in the column `comment_text`, `content` or `text`; `lang` or `language`, where there,
        chooses among the model's calibrations and thresholds. A row without a text gets an error instead of
        scores. Rows are numbered anew.

        Raises:
            InvalidDataError: there is no column of texts.
        """
        column = find_text(table)
        if column is None:
            raise InvalidDataError(
                "The table needs a column comment_text, content or text; it has "
                f"{', '.join(map(str, table.columns))}."
            )
        scored = table.reset_index(drop=True)
        texts = scored[column].map(lambda value: normalise(value) if isinstance(value, str) else "")
        scored[SCORE_COLUMNS] = np.float32(np.nan)
        scored[DECISION_COLUMNS] = None
        scored[MODEL_VERSION] = self.version
        scored[ERROR] = texts.map(lambda text: "" if text else NO_TEXT)
        rows = texts[texts != ""]
        if not rows.empty:
            self._fill(scored, rows, languages=_languages(scored, rows))
        return scored.astype(
            {**dict.fromkeys(SCORE_COLUMNS, "float32"), **dict.fromkeys(DECISION_COLUMNS, "boolean")}
        )

    def _fill(self, scored: pd.DataFrame, texts: pd.Series, *, languages: pd.Series) -> None:
        raw = pd.DataFrame({TEXT: texts, LANGUAGE: languages})
        raw[SCORE_COLUMNS] = self.scorer.score(texts.tolist()).scores
        calibrated = self.point.calibrated(raw)
        scored.loc[texts.index, SCORE_COLUMNS] = calibrated[SCORE_COLUMNS]
        for label, decision in zip(self.point.labels, DECISION_COLUMNS, strict=True):
            scored.loc[texts.index, decision] = self.point.decisions(calibrated, label)


class ScoredChunks:
    """A table's chunks, each scored when it is asked for; can be read once for each reading of the table.

    Args:
        chunks: of the table, in order.
        scorer: scores a chunk.
        clock: seconds, never falling; for the progress that is logged.
    """

    def __init__(
        self,
        chunks: Iterable[pd.DataFrame],
        scorer: TableScorer,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._chunks = chunks
        self._scorer = scorer
        self._clock = clock

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Yield every chunk with its scores."""
        started = logged = self._clock()
        rows = 0
        for chunk in self._chunks:
            yield self._scorer.score(chunk)
            rows += len(chunk)
            now = self._clock()
            if now - logged >= _LOG_EVERY_SECONDS:
                logged = now
                logger.info("scored %s comments, %.0f a second", f"{rows:,}", rows / (now - started))
        logger.info("scored %s comments by version %s", f"{rows:,}", self._scorer.version)


def _languages(table: pd.DataFrame, rows: pd.Series) -> pd.Series:
    column = find_language(table)
    if column is None:
        return pd.Series("", index=rows.index, dtype=str)
    codes: pd.Series = table.loc[rows.index, column].map(language_code)
    return codes
