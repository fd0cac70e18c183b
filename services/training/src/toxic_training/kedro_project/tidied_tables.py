"""Tidied tables between the steps that make them and the one that splits them.

Invariant: only one chunk is in memory; a written folder appears whole or not at all.
"""

import json
import shutil
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow as pa
from kedro.io import AbstractDataset
from pyarrow.parquet import ParquetFile, ParquetWriter

from toxic_training.data.chunks import CHUNK_ROWS, Lazy
from toxic_training.data.comments import Counts, Tidied, TidiedTable
from toxic_training.data.tidying import join, sum_of

_COMMENTS = "comments.parquet"
_REJECTED = "rejected.parquet"
_COUNTS = "counts.json"


class TidiedDataset(AbstractDataset[Iterable[Tidied], TidiedTable]):
    """Tidied tables in a folder: Parquet files of comments and of rejected rows, and the counts.

    Saving writes one chunk at a time; loading reads the counts, and the rest when it is iterated.
    """

    def __init__(self, filepath: str, metadata: dict[str, object] | None = None) -> None:
        self._folder = Path(filepath)
        self.metadata = metadata

    def save(self, data: Iterable[Tidied]) -> None:
        """Replace the folder. A run that is killed leaves the previous one, or none."""
        written = self._folder.with_name(f".{self._folder.name}.partial")
        shutil.rmtree(written, ignore_errors=True)
        written.mkdir(parents=True)
        counts, none = Counts(), join([])
        schemas = [
            pa.Schema.from_pandas(frame, preserve_index=False) for frame in (none.comments, none.rejected)
        ]
        with (
            ParquetWriter(written / _COMMENTS, schemas[0]) as comments,
            ParquetWriter(written / _REJECTED, schemas[1]) as rejected,
        ):
            for part in data:
                counts = sum_of([counts, part.counts])
                for writer, frame in ((comments, part.comments), (rejected, part.rejected)):
                    if len(frame):
                        writer.write(pa.Table.from_pandas(frame, schema=writer.schema, preserve_index=False))
        (written / _COUNTS).write_text(json.dumps(counts))
        shutil.rmtree(self._folder, ignore_errors=True)
        written.rename(self._folder)

    def load(self) -> TidiedTable:
        """Return the tables."""
        with ParquetFile(self._folder / _COMMENTS) as comments:
            rows = comments.metadata.num_rows
        return TidiedTable(
            Lazy(partial(_chunks, self._folder / _COMMENTS)),
            Lazy(partial(_chunks, self._folder / _REJECTED)),
            json.loads((self._folder / _COUNTS).read_text()),
            rows,
        )

    def _exists(self) -> bool:
        return self._folder.exists()

    def _describe(self) -> dict[str, object]:
        return {"filepath": str(self._folder)}


def _chunks(path: Path) -> Iterator[pd.DataFrame]:
    with ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=CHUNK_ROWS):
            yield batch.to_pandas()
