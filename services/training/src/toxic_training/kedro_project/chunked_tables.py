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


class TableChunks:
    """A table in a file, which every iteration reads anew.

    Args:
        path: of a CSV file, with cells read as strings, or of a Parquet file.
        rows: in a chunk, at most.
    """

    def __init__(self, path: Path, *, rows: int) -> None:
        self._path = path
        self._rows = rows

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Yield the chunks.

        Raises:
            InvalidDataError: the file can't be read, or holds no rows.
        """
        read = self._read_csv if _kind(self._path) == _CSV else self._read_parquet
        rows = 0
        try:
            for chunk in read():
                rows += len(chunk)
                yield chunk
        except (UnicodeDecodeError, EmptyDataError, ParserError, ArrowInvalid) as error:
            raise InvalidDataError(f"{self._path} {unreadable(error)}") from error
        if rows == 0:
            raise InvalidDataError(f"{self._path} holds no rows to score.")

    def _read_csv(self) -> Iterator[pd.DataFrame]:
        with pd.read_csv(
            self._path, chunksize=self._rows, dtype=str, keep_default_na=False, encoding="utf-8"
        ) as chunks:
            for chunk in chunks:
                if not isinstance(chunk.index, pd.RangeIndex):
                    # What pandas can't give a column becomes the index.
                    raise InvalidDataError(f"The rows of {self._path} have more fields than its header.")
                yield chunk

    def _read_parquet(self) -> Iterator[pd.DataFrame]:
        with ParquetFile(self._path) as file:
            for batch in file.iter_batches(batch_size=self._rows):
                yield batch.to_pandas()


class ChunkedTableDataset(AbstractDataset[Chunks, Chunks]):
    """A table as chunks.

    Args:
        filepath: ends in `.csv` or `.parquet`; None if a run names none.
        option: how users name the path, for error messages.
        chunk_rows: read at once.
    """

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
        """Return the table; it is read when it is iterated.

        Raises:
            ConfigurationError: there is no path, or it ends in neither.
            MissingDataError: there is no such file.
        """
        path = self._path()
        if not path.is_file():
            raise MissingDataError(f"{path} not found; {self._option} names the table to score.")
        return TableChunks(path, rows=self._chunk_rows)

    def save(self, data: Chunks) -> None:
        """Write chunk by chunk under a temporary name, then rename."""
        path = self._path()
        with replacing(path) as partial:
            (_write_csv if _kind(path) == _CSV else _write_parquet)(partial, data)

    def _path(self) -> Path:
        if not self._filepath:
            raise ConfigurationError(
                f"Say which file: {self._option}=<a file ending in {_CSV} or {_PARQUET}>."
            )
        path = Path(self._filepath)
        _kind(path)
        return path

    def _exists(self) -> bool:
        return bool(self._filepath) and Path(str(self._filepath)).is_file()

    def _describe(self) -> dict[str, object]:
        return {"filepath": self._filepath}


def _kind(path: Path) -> str:
    kind = path.suffix.lower()
    if kind not in {_CSV, _PARQUET}:
        raise ConfigurationError(
            f"{path} ends in neither {_CSV} nor {_PARQUET}; tables are read and written as these."
        )
    return kind


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
