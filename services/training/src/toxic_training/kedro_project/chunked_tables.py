"""Tables of any size, read and written in chunks: CSV or Parquet, by the file's ending.

Invariant: only one chunk is in memory; a written file appears whole or not at all.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
from kedro.io import AbstractDataset
from pandas.errors import EmptyDataError, ParserError
from pyarrow import ArrowInvalid
from pyarrow.parquet import ParquetFile, ParquetWriter

from toxic_core.errors import ConfigurationError, InvalidDataError, MissingDataError
from toxic_core.files import replacing
from toxic_training.kedro_project.failures import unreadable

_CSV = ".csv"
_PARQUET = ".parquet"

Chunks = Iterable[pd.DataFrame]


class ChunkedTableDataset(AbstractDataset[Chunks, Chunks]):
    """A table as chunks of `chunk_rows`; `option` is how users name its path, for error messages."""

    def __init__(
        self,
        *,
        filepath: str | None,
        option: str,
        chunk_rows: int = 10_000,
        metadata: dict[str, object] | None = None,
    ) -> None:
        self._filepath = filepath
        self._option = option
        self._chunk_rows = chunk_rows
        self.metadata = metadata

    def load(self) -> Chunks:
        """Return the table, which is read when it is iterated, or raise MissingDataError if it is absent."""
        path = self._path()
        if not path.is_file():
            raise MissingDataError(f"{path} not found; {self._option} names the table to score.")
        return read_chunks(path, rows=self._chunk_rows)

    def save(self, data: Chunks) -> None:
        """Write chunk by chunk under a temporary name, then rename."""
        path = self._path()
        with replacing(path) as partial:
            (_write_csv if path.suffix.lower() == _CSV else _write_parquet)(partial, data)

    def _path(self) -> Path:
        if not self._filepath:
            raise ConfigurationError(
                f"Say which file: {self._option}=<a file ending in {_CSV} or {_PARQUET}>."
            )
        path = Path(self._filepath)
        if path.suffix.lower() not in {_CSV, _PARQUET}:
            raise ConfigurationError(
                f"{path} ends in neither {_CSV} nor {_PARQUET}; tables are read and written as these."
            )
        return path

    def _exists(self) -> bool:
        return bool(self._filepath) and Path(str(self._filepath)).is_file()

    def _describe(self) -> dict[str, object]:
        return {"filepath": self._filepath}


def read_chunks(path: Path, *, rows: int) -> Iterator[pd.DataFrame]:
    """Yield a table in chunks; a CSV's cells are strings. Raises InvalidDataError if it has no rows."""
    found = 0
    try:
        for chunk in (_read_csv if path.suffix.lower() == _CSV else _read_parquet)(path, rows):
            found += len(chunk)
            yield chunk
    except (UnicodeDecodeError, EmptyDataError, ParserError, ArrowInvalid) as error:
        raise InvalidDataError(f"{path} {unreadable(error)}") from error
    if found == 0:
        raise InvalidDataError(f"{path} holds no rows to score.")


def _read_csv(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    with pd.read_csv(path, chunksize=rows, dtype=str, keep_default_na=False, encoding="utf-8") as chunks:
        for chunk in chunks:
            if not isinstance(chunk.index, pd.RangeIndex):
                # What pandas can't give a column becomes the index.
                raise InvalidDataError(f"The rows of {path} have more fields than its header.")
            yield chunk


def _read_parquet(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    with ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=rows):
            yield batch.to_pandas()


def _write_csv(path: Path, chunks: Chunks) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        for number, chunk in enumerate(chunks):
            chunk.to_csv(file, index=False, header=number == 0)


def _write_parquet(path: Path, chunks: Chunks) -> None:
    """Write every chunk with the first one's types."""
    remaining = iter(chunks)
    first = pa.Table.from_pandas(next(remaining), preserve_index=False)
    with ParquetWriter(path, first.schema) as writer:
        writer.write_table(first)
        for chunk in remaining:
            writer.write_table(pa.Table.from_pandas(chunk, schema=first.schema, preserve_index=False))
