"""Catalog entries for tables: those that may be absent, and those that are there whole or not at all.

Invariant: a run that is killed while it writes leaves the table of the run before.
"""

from pathlib import Path
from typing import Never, NoReturn

import pandas as pd
from kedro.io import AbstractDataset, DatasetError
from kedro_datasets.pandas import ParquetDataset

from toxic_core.contract import file_digest
from toxic_training.data.tables import OptionalTables, RawTable


class TableDataset(ParquetDataset):
    """A Parquet file that is written under a temporary name, then renamed."""

    def save(self, data: pd.DataFrame) -> None:
        """Write the table; the folder is made where it lacks."""
        target = Path(self._filepath)
        partial = target.with_name(f".partial-{target.name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        data.to_parquet(partial)
        partial.replace(target)


class OptionalTablesDataset(AbstractDataset[Never, OptionalTables]):
    """Tables of which each may be there or not; can't be saved.

    Args:
        tables: a catalog entry for each, by name; it needs a `filepath`.
    """

    def __init__(
        self, tables: dict[str, dict[str, object]], metadata: dict[str, object] | None = None
    ) -> None:
        self._files = {name: Path(str(entry["filepath"])) for name, entry in tables.items()}
        self._datasets = {name: AbstractDataset.from_config(name, entry) for name, entry in tables.items()}
        self.metadata = metadata

    def save(self, data: Never) -> NoReturn:  # noqa: ARG002 - Kedro's name
        """Refuse: raw tables come from elsewhere."""
        raise DatasetError("Raw tables can't be saved.")

    def load(self) -> OptionalTables:
        """Read every table whose file is there."""
        return {name: self._read(name) for name in self._datasets}

    def _read(self, name: str) -> RawTable | None:
        file = self._files[name]
        return RawTable(self._datasets[name].load(), file_digest(file)) if file.exists() else None

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, object]:
        return {"tables": {name: str(file) for name, file in self._files.items()}}
