"""The table of comments that every pipeline reads and writes, and the raw tables that it is made from.

`source` is the table's name in the parameters. `origin` and `licence` are a row's own, from the columns
`source` and `licence`; without those, the table's name and the empty string.

Invariant: one row per comment, text not blank, and unique but for what can't be seen; a label is 0, 1, or NaN
if the source file doesn't contain it; a training comment's may be a share between.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from toxic_core.labels import LABELS
from toxic_training.data.chunks import Chunks
from toxic_training.data.raw_tables import whole

ID = "id"
TEXT = "text"
LANGUAGE = "language"
SOURCE = "source"
ORIGIN = "origin"
LICENCE = "licence"
LABEL_COLUMNS = list(LABELS)
COLUMNS = [ID, TEXT, LANGUAGE, SOURCE, ORIGIN, LICENCE, *LABEL_COLUMNS]


def label_matrix(comments: pd.DataFrame) -> NDArray[np.float32]:
    """Return the labels, float32 [comments, labels], NaN if missing."""
    return comments[LABEL_COLUMNS].to_numpy(dtype=np.float32)


Counts = dict[str, float]
"""Numbers of rows by table and reason."""


@dataclass(frozen=True, slots=True)
class RawTable:
    """A raw table and the SHA-256 digest of its file."""

    rows: pd.DataFrame
    digest: str

    @property
    def chunks(self) -> Chunks:
        """The table as one chunk."""
        return (self.rows,)


@dataclass(frozen=True)
class LargeTable:
    """A raw table that is read in chunks, and the SHA-256 digest of its file."""

    chunks: Chunks
    digest: str

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The whole table, in memory."""
        return whole(self.chunks)


OptionalTables = Mapping[str, RawTable | LargeTable | None]
"""Tables by name; None if the file in the catalog doesn't exist."""


@dataclass(frozen=True, slots=True)
class Tidied:
    """A tidied chunk: comments with duplicates, rejected rows, and the counts of both and of others."""

    comments: pd.DataFrame
    rejected: pd.DataFrame
    counts: Counts


@dataclass(frozen=True, slots=True)
class TidiedTable:
    """Every tidied chunk of one or more tables, and the number of comments."""

    comments: Chunks
    rejected: Chunks
    counts: Counts
    rows: int
