"""Dataset types for tables: raw ones in any format, some that may be absent, some replaced atomically."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Never, NoReturn

import pandas as pd
from kedro.io import AbstractDataset, DatasetError
from kedro_datasets.pandas import ParquetDataset

from toxic_core.contract import file_digest
from toxic_core.contract.reference import RecentTraffic
from toxic_core.files import replacing
from toxic_core.tables import TableOptions
from toxic_training.data.chunks import Chunks
from toxic_training.data.comments import LargeTable, OptionalTables, RawTable
from toxic_training.data.feedback_source import (
    KEY_VARIABLE,
    URL_VARIABLE,
    Correction,
    read_corrections,
    read_file,
    read_traffic,
)
from toxic_training.data.raw_tables import read_chunks, read_raw
from toxic_training.kedro_project.chunked_tables import write_parquet


class TableDataset(ParquetDataset):
    """A Parquet file. A run that is killed while it writes leaves the previous table."""

    def save(self, data: pd.DataFrame | Chunks) -> None:
        """Replace the file atomically; chunks are written one at a time, and there is at least one."""
        with replacing(Path(self._filepath)) as partial:
            if isinstance(data, pd.DataFrame):
                data.to_parquet(partial)
            else:
                write_parquet(partial, data)


class RawTableDataset(AbstractDataset[Never, pd.DataFrame]):
    """A table in any format that `toxic_core.tables` reads, with every cell a string; read-only.

    Args:
        filepath: the file.
        encoding: of a text without a byte order mark, if it isn't UTF-8.
        delimiter: of the cells, if it can't be found.
        metadata: for Kedro-Viz.
    """

    def __init__(
        self,
        *,
        filepath: str,
        encoding: str | None = None,
        delimiter: str | None = None,
        metadata: dict[str, object] | None = None,
    ) -> None:
        self._path = Path(filepath)
        self._options = TableOptions(encoding, delimiter)
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """Read it."""
        return read_raw(self._path, self._options)

    def chunks(self) -> Chunks:
        """Return it as chunks, which are read when they are iterated."""
        return read_chunks(self._path, self._options)

    def save(self, data: Never) -> NoReturn:  # noqa: ARG002 - Kedro's name
        """Raise DatasetError."""
        raise DatasetError("Raw tables can't be saved.")

    def _exists(self) -> bool:
        return self._path.exists()

    def _describe(self) -> dict[str, object]:
        return {"filepath": str(self._path)}


class RawChunksDataset(AbstractDataset[Never, Chunks]):
    """A raw table of any size, as chunks; read-only. The arguments are those of `RawTableDataset`."""

    def __init__(self, metadata: dict[str, object] | None = None, **table: Any) -> None:
        self._table = RawTableDataset(**table)
        self.metadata = metadata

    def load(self) -> Chunks:
        """Return the table, which is read when it is iterated."""
        return self._table.chunks()

    def save(self, data: Never) -> NoReturn:
        """Raise DatasetError."""
        self._table.save(data)

    def _exists(self) -> bool:
        return self._table.exists()

    def _describe(self) -> dict[str, object]:
        return self._table._describe()  # noqa: SLF001 - Kedro has no other


class FeedbackDataset(AbstractDataset[Never, Iterable[Correction]]):
    """Moderators' corrections, which are read when they are iterated; read-only.

    They come from the address in TRAINING_FEEDBACK_URL, else from a downloaded export, else there are none.
    """

    def __init__(self, filepath: str, metadata: dict[str, object] | None = None) -> None:
        self._path = Path(filepath)
        self.metadata = metadata

    def load(self) -> Iterable[Correction]:
        """Return the corrections. Iterating raises as `read_corrections`."""
        if url := os.environ.get(URL_VARIABLE):
            return read_corrections(url, os.environ.get(KEY_VARIABLE, ""))
        return read_file(self._path) if self._path.exists() else ()

    def save(self, data: Never) -> NoReturn:  # noqa: ARG002 - Kedro's name
        """Raise DatasetError."""
        raise DatasetError("Corrections can't be saved here; send them to POST /feedback.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, object]:
        return {"filepath": str(self._path)}


class TrafficDataset(AbstractDataset[Never, RecentTraffic | None]):
    """What the service at TRAINING_FEEDBACK_URL counted of its traffic lately; None if that is unknown."""

    def __init__(self, metadata: dict[str, object] | None = None) -> None:
        self.metadata = metadata

    def load(self) -> RecentTraffic | None:
        """Ask the service."""
        return read_traffic(os.environ.get(URL_VARIABLE, ""), os.environ.get(KEY_VARIABLE, ""))

    def save(self, data: Never) -> NoReturn:  # noqa: ARG002 - Kedro's name
        """Raise DatasetError."""
        raise DatasetError("The service counts its traffic itself.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, object]:
        return {}


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
        """Return every table whose file exists; raw ones are read when they are iterated."""
        tables: dict[str, RawTable | LargeTable | None] = dict.fromkeys(self._files)
        for name, file in self._files.items():
            dataset = self._datasets[name]
            if not file.exists():
                continue
            if isinstance(dataset, RawTableDataset):
                tables[name] = LargeTable(dataset.chunks(), file_digest(file))
            else:
                tables[name] = RawTable(dataset.load(), file_digest(file))
        return tables

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, object]:
        return {"tables": {name: str(file) for name, file in self._files.items()}}
