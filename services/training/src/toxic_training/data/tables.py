"""Tables on their way from disk to comments.

Invariant: a table and its digest are of the same bytes, and every row that was read is a comment, rejected or
counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

Counts = dict[str, float]


@dataclass(frozen=True, slots=True)
class RawTable:
    """A table that was read.

    Attributes:
        rows: as they came.
        digest: SHA-256 of the file.
    """

    rows: pd.DataFrame
    digest: str


OptionalTables = Mapping[str, RawTable | None]
"""Tables by name; None where the catalog names a file that isn't there."""


@dataclass(frozen=True, slots=True)
class Tidied:
    """What became of a raw table.

    Attributes:
        comments: the table of `toxic_training.data.comments`, duplicates included.
        rejected: rows that break the table's schema, as `toxic_training.data.schemas.sort_rows` returns them.
        counts: rows read, rejected and set aside, by table and reason.
    """

    comments: pd.DataFrame
    rejected: pd.DataFrame
    counts: Counts
