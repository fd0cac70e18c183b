"""Chunks of a table with their scores and decisions."""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from toxic_model.table_scoring import TableScorer
from toxic_training.modelling.fitting import LOG_EVERY_SECONDS

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReadChunk:
    """Rows of a table, and why each can't be scored; empty if it can."""

    rows: pd.DataFrame
    problems: Sequence[str]


def append_scores(
    table: pd.DataFrame, scorer: TableScorer, problems: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return `table` with the columns of its scores, its rows numbered anew."""
    columns = list(map(str, table.columns))
    scored = table.reset_index(drop=True).set_axis(scorer.kept_names(columns), axis="columns")
    for column in scorer.score(columns, lambda index: table.iloc[:, index].tolist(), problems=problems):
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

    chunks: Iterable[ReadChunk]
    scorer: TableScorer

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Yield every chunk with its scores."""
        started = logged = time.monotonic()
        rows = 0
        for chunk in self.chunks:
            yield append_scores(chunk.rows, self.scorer, chunk.problems)
            rows += len(chunk.rows)
            now = time.monotonic()
            if now - logged >= LOG_EVERY_SECONDS:
                logged = now
                logger.info("scored %s comments, %.0f a second", f"{rows:,}", rows / (now - started))
        logger.info("scored %s comments by version %s", f"{rows:,}", self.scorer.version)
