"""Raw tables as they come from disk.

Invariant: a table and its digest are of the same bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd


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
