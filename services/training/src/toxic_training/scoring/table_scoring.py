"""Chunks of a table with their scores and decisions."""

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pandas as pd

from toxic_model.table_scoring import TableScorer
from toxic_training.modelling.fitting import LOG_EVERY_SECONDS

logger = logging.getLogger(__name__)


def append_scores(table: pd.DataFrame, scorer: TableScorer) -> pd.DataFrame:
    """Return `table` with the columns of its scores, its rows numbered anew."""
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


@dataclass(frozen=True, slots=True)
class ScoredChunks:
    """A table's chunks, scored one at a time as they are read. Kedro would save a generator in parts."""

    chunks: Iterable[pd.DataFrame]
    scorer: TableScorer

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Yield every chunk with its scores."""
        started = logged = time.monotonic()
        rows = 0
        for chunk in self.chunks:
            yield append_scores(chunk, self.scorer)
            rows += len(chunk)
            now = time.monotonic()
            if now - logged >= LOG_EVERY_SECONDS:
                logged = now
                logger.info("scored %s comments, %.0f a second", f"{rows:,}", rows / (now - started))
        logger.info("scored %s comments by version %s", f"{rows:,}", self.scorer.version)
