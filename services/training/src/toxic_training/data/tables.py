"""Raw tables, and what tidying makes of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

Counts = dict[str, float]
"""Numbers of rows by table and reason."""


@dataclass(frozen=True, slots=True)
class RawTable:
    """A raw table and the SHA-256 digest of its file."""

    rows: pd.DataFrame
    digest: str


OptionalTables = Mapping[str, RawTable | None]
"""Tables by name; None if the file in the catalog doesn't exist."""


@dataclass(frozen=True, slots=True)
class Tidied:
    """A tidied raw table: comments with duplicates, rejected rows, and the counts of both and of others."""

    comments: pd.DataFrame
    rejected: pd.DataFrame
    counts: Counts
