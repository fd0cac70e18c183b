"""Tables of any size as chunks, one data frame at a time.

Invariant: what is made from chunks can be iterated again, and holds one of them at a time.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import pandas as pd

logger = logging.getLogger(__name__)

Item = TypeVar("Item")

Chunks = Iterable[pd.DataFrame]

CHUNK_ROWS = 50_000
"""Rows of a chunk: about 30 MB of comments while they are tidied."""

_LOG_EVERY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Lazy(Generic[Item]):
    """What `make` yields, made anew by every iteration. Kedro would save a generator in parts."""

    make: Callable[[], Iterable[Item]]

    def __iter__(self) -> Iterator[Item]:
        """Start from the first item."""
        return iter(self.make())


def chunks_of(table: pd.DataFrame | Chunks) -> Chunks:
    """Return the chunks of a table; a data frame is one."""
    return (table,) if isinstance(table, pd.DataFrame) else table


def logged(chunks: Chunks, done: str) -> Iterator[pd.DataFrame]:
    """Yield the chunks; log the number of rows every 30 seconds, such as `tidied train: 100,000 rows`."""
    started = last = time.monotonic()
    rows = 0
    for chunk in chunks:
        yield chunk
        rows += len(chunk)
        now = time.monotonic()
        if now - last >= _LOG_EVERY_SECONDS:
            last = now
            logger.info("%s: %s rows, %.0f per second", done, f"{rows:,}", rows / (now - started))
