"""Parquet files, batch by batch. They need pyarrow, which is installed with the extra `parquet`."""

from typing import BinaryIO

from toxic_core.tables.rows import InvalidTableError, Row, Rows, cell_text
from toxic_core.tables.unpacking import too_large

_BATCH_ROWS = 1_024


class ParquetRecords:
    """The rows of a Parquet file.

    Raises:
        InvalidTableError: it can't be read.
    """

    def __init__(self, stream: BinaryIO, *, max_bytes: int | None) -> None:
        try:
            import pyarrow as pa  # noqa: PLC0415  an extra
            from pyarrow.parquet import ParquetFile  # noqa: PLC0415
        except ImportError as error:
            raise InvalidTableError(
                "Parquet files need the package pyarrow, which isn't installed here; export the table as CSV."
            ) from error
        self._errors = (pa.ArrowException, OSError)
        try:
            self._file = ParquetFile(stream)
        except self._errors as error:
            raise InvalidTableError("The Parquet file is damaged; write it again.") from error
        metadata = self._file.metadata
        groups = (metadata.row_group(group) for group in range(metadata.num_row_groups))
        if max_bytes is not None and sum(group.total_byte_size for group in groups) > max_bytes:
            raise too_large(max_bytes)
        self.header: tuple[str, ...] = tuple(self._file.schema_arrow.names)

    def __iter__(self) -> Rows:
        """Yield every row, from number 1."""
        number = 0
        try:
            for batch in self._file.iter_batches(batch_size=_BATCH_ROWS):
                for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    number += 1
                    yield Row(number, tuple(map(cell_text, values)))
        except self._errors as error:
            raise InvalidTableError("The Parquet file is damaged; write it again.") from error
