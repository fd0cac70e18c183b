"""Chunks of a table with their scores and decisions."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator

import pandas as pd

from toxic_model.table_scoring import TableScorer

logger = logging.getLogger(__name__)

_LOG_EVERY_SECONDS = 15.0


def append_scores(table: pd.DataFrame, scorer: TableScorer) -> pd.DataFrame:
    """Return `table` with the columns of its scores, its rows numbered anew.

    Raises:
        InvalidDataError: no single column of texts was found.
    """
    scored = table.reset_index(drop=True)
    for column in scorer.score(list(map(str, table.columns)), lambda index: table.iloc[:, index].tolist()):
        cells = pd.Series(column.cells)
        match column.cells.dtype.kind:
            case "b":
                scored[column.name] = cells.astype("boolean").mask(column.missing)
            case "O":
                scored[column.name] = cells.astype(str)
            case _:
                scored[column.name] = cells
    return scored


class ScoredChunks:
    """A table's chunks, scored one at a time as they are read.

    Args:
        chunks: of the table, in order.
        scorer: scores a chunk.
        clock: monotonic seconds, for the progress in the log.
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
            yield append_scores(chunk, self._scorer)
            rows += len(chunk)
            now = self._clock()
            if now - logged >= _LOG_EVERY_SECONDS:
                logged = now
                logger.info("scored %s comments, %.0f a second", f"{rows:,}", rows / (now - started))
        logger.info("scored %s comments by version %s", f"{rows:,}", self._scorer.version)
