"""Tables of any size, read and written in chunks.

A table is read in any format that `toxic_core.tables` reads; Parquet keeps its types. It is written as CSV or
Parquet, by the file's ending.

Invariant: only one chunk is in memory; a written file appears whole or not at all.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import pandas as pd
import pyarrow as pa
from kedro.io import AbstractDataset
from pyarrow import ArrowInvalid
from pyarrow.parquet import ParquetFile, ParquetWriter

from toxic_core.errors import ConfigurationError, InvalidDataError, MissingDataError
from toxic_core.files import replacing
from toxic_core.tables import NO_OPTIONS, TableOptions, open_table
from toxic_training.data.raw_tables import as_frame
from toxic_training.kedro_project.failures import unreadable
from toxic_training.paths import from_start
from toxic_training.scoring.table_scoring import ReadChunk

_CSV = ".csv"
_PARQUET = ".parquet"

Chunks = Iterable[pd.DataFrame]


class ChunkedTableDataset(AbstractDataset[Chunks, Iterable[ReadChunk]]):
    """A table as chunks.

    Args:
        file: the file; a relative one starts from the folder in which the run was started. Kedro makes an
            argument `filepath` relative to the project.
        option: how users name the file, for error messages.
        encoding: of a text without a byte order mark, if it isn't UTF-8.
        delimiter: of the cells, if it can't be found.
        text_column: name of the text column, if it is unusual.
        chunk_rows: rows of a chunk.
        metadata: for Kedro-Viz.
    """

    def __init__(
        self,
        *,
        file: str | None,
        option: str,
        encoding: str | None = None,
        delimiter: str | None = None,
        text_column: str | None = None,
        chunk_rows: int = 10_000,
        metadata: dict[str, object] | None = None,
    ) -> None:
        self._file = from_start(file) if file else None
        self._option = option
        self._options = TableOptions(encoding, delimiter, text_column)
        self._chunk_rows = chunk_rows
        self.metadata = metadata

    def load(self) -> Iterable[ReadChunk]:
        """Return the table, which is read when it is iterated, or raise MissingDataError if it is absent."""
        path = self._path()
        if not path.is_file():
            raise MissingDataError(f"{path} not found; {self._option} names the table to score.")
        return read_chunks(path, rows=self._chunk_rows, options=self._options)

    def save(self, data: Chunks) -> None:
        """Write chunk by chunk under a temporary name, then rename."""
        path = self._path()
        if path.suffix.lower() not in {_CSV, _PARQUET}:
            raise ConfigurationError(f"{path} ends in neither {_CSV} nor {_PARQUET}; write one of these.")
        with replacing(path) as partial:
            (_write_csv if path.suffix.lower() == _CSV else write_parquet)(partial, data)

    def _path(self) -> Path:
        if self._file is None:
            raise ConfigurationError(f"Name a file: {self._option}=<path, such as comments.csv>.")
        return self._file

    def _exists(self) -> bool:
        return self._file is not None and self._file.is_file()

    def _describe(self) -> dict[str, object]:
        return {} if self._file is None else {"filepath": str(self._file)}


def read_chunks(path: Path, *, rows: int, options: TableOptions = NO_OPTIONS) -> Iterator[ReadChunk]:
    """Yield a table in chunks; cells are strings, except in Parquet.

    Raises:
        InvalidDataError: the file is no table, or has no rows.
    """
    found = 0
    try:
        for chunk in _read_parquet(path, rows) if _is_parquet(path) else _read_text(path, rows, options):
            found += len(chunk.rows)
            yield chunk
    except InvalidDataError as error:
        raise InvalidDataError(f"{path} can't be read. {error}") from error
    except ArrowInvalid as error:
        raise InvalidDataError(f"{path} {unreadable(error)}") from error
    if found == 0:
        raise InvalidDataError(f"{path} holds no rows to score.")


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as stream:
        return path.suffix.lower() == _PARQUET or stream.read(4) == b"PAR1"


def _read_text(path: Path, rows: int, options: TableOptions) -> Iterator[ReadChunk]:
    with path.open("rb") as stream:
        table = open_table(stream, options)
        width, remaining = len(table.header), table.rows()
        while chunk := list(islice(remaining, rows)):
            cells = [(*row.cells, *[""] * (width - len(row.cells))) for row in chunk]
            problems = tuple(row.problem.message if row.problem else "" for row in chunk)
            yield ReadChunk(as_frame(table.header, cells), problems)


def _read_parquet(path: Path, rows: int) -> Iterator[ReadChunk]:
    with ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=rows):
            yield ReadChunk(batch.to_pandas(), ("",) * batch.num_rows)


def _write_csv(path: Path, chunks: Chunks) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        for number, chunk in enumerate(chunks):
            chunk.to_csv(file, index=False, header=number == 0)


def write_parquet(path: Path, chunks: Chunks) -> None:
    """Write every chunk with the first one's types."""
    remaining = iter(chunks)
    first = pa.Table.from_pandas(next(remaining), preserve_index=False)
    with ParquetWriter(path, first.schema) as writer:
        writer.write_table(first)
        for chunk in remaining:
            writer.write_table(pa.Table.from_pandas(chunk, schema=first.schema, preserve_index=False))
