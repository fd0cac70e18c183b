"""Dataset types for tables: raw ones in any format, some that may be absent, some replaced atomically."""

from pathlib import Path
from typing import Never, NoReturn

import pandas as pd
from kedro.io import AbstractDataset, DatasetError
from kedro_datasets.pandas import ParquetDataset

from toxic_core.contract import file_digest
from toxic_core.files import replacing
from toxic_core.tables import TableOptions
from toxic_training.data.comments import OptionalTables, RawTable
from toxic_training.data.raw_tables import read_raw


class TableDataset(ParquetDataset):
    """A Parquet file. A run that is killed while it writes leaves the previous table."""

    def save(self, data: pd.DataFrame) -> None:
        """Replace the file atomically."""
        with replacing(Path(self._filepath)) as partial:
            data.to_parquet(partial)


class RawTableDataset(AbstractDataset[Never, pd.DataFrame]):
    """A table in any format that `toxic_core.tables` reads, with every cell a string; read-only.

    Args:
        filepath: the file.
        encoding: of a text without a byte order mark, if it isn't UTF-8.
        delimiter: of the cells, if it can't be found.
        withheld: a column whose empty cells are missing values.
        metadata: for Kedro-Viz.
    """

    def __init__(
        self,
        *,
        filepath: str,
        encoding: str | None = None,
        delimiter: str | None = None,
        withheld: str | None = None,
        metadata: dict[str, object] | None = None,
    ) -> None:
        self._path = Path(filepath)
        self._options = TableOptions(encoding, delimiter)
        self._withheld = withheld
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """Read it."""
        table = read_raw(self._path, self._options)
        if self._withheld in table:
            table[self._withheld] = table[self._withheld].mask(table[self._withheld] == "")
        return table

    def save(self, data: Never) -> NoReturn:  # noqa: ARG002 - Kedro's name
        """Raise DatasetError."""
        raise DatasetError("Raw tables can't be saved.")

    def _exists(self) -> bool:
        return self._path.exists()

    def _describe(self) -> dict[str, object]:
        return {"filepath": str(self._path)}


class OptionalTablesDataset(AbstractDataset[Never, OptionalTables]):
    """Tables of which each may be absent, from catalog entries by name; read-only."""

    def __init__(
        self, tables: dict[str, dict[str, object]], metadata: dict[str, object] | None = None
    ) -> None:
        self._files = {name: Path(str(entry["filepath"])) for name, entry in tables.items()}
        self._datasets = {name: AbstractDataset.from_config(name, entry) for name, entry in tables.items()}
        self.metadata = metadata

    def save(self, data: Never) -> NoReturn:  # noqa: ARG002 - Kedro's name
        """Raise DatasetError."""
        raise DatasetError("Raw tables can't be saved.")

    def load(self) -> OptionalTables:
        """Read every table whose file exists."""
        return {
            name: RawTable(self._datasets[name].load(), file_digest(file)) if file.exists() else None
            for name, file in self._files.items()
        }

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, object]:
        return {"tables": {name: str(file) for name, file in self._files.items()}}
