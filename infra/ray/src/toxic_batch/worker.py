"""What runs in a Ray actor: one model version, and block after block from input to part.

Invariant: a block's part is written whole, under the name that its number gives, so doing a block twice does
no harm.
"""

from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import ray
from numpy.typing import NDArray

from toxic_batch.blocks import Block
from toxic_batch.manifest import part_name
from toxic_batch.reading import encode, read_block
from toxic_batch.scoring import Reading, TableScorer
from toxic_batch.servable import PackedBundle, load
from toxic_batch.storage import Place
from toxic_core.errors import ToxicError
from toxic_core.telemetry import disable_telemetry

Columns = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a block.

    Attributes:
        number: the block's.
        rows: in its part.
        rejected: rows of those that have an error instead of scores.
        error: why there is no part; empty where there is one.
    """

    number: int
    rows: int = 0
    rejected: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """What every worker of a job is told.

    Attributes:
        model: where Ray holds the bundle's files.
        version: what the model is called in the output.
        reading: how texts are read.
        columns: of the input.
        sources: the file system of each input file, by path.
        out: the folder of the parts.
        form: of the parts.
        threads: that a model may use.
    """

    model: "ray.ObjectRef[PackedBundle]"
    version: str
    reading: Reading
    columns: tuple[str, ...]
    sources: dict[str, Place]
    out: Place
    form: str
    threads: int


class Worker:
    """Scores blocks; Ray makes one an actor, and calls it with one block at a time."""

    def __init__(self, task: Task) -> None:
        disable_telemetry()
        self._task = task
        packed: PackedBundle = ray.get(task.model)
        servable = load(packed, overlap=task.reading.overlap, threads=task.threads)
        self._scorer = TableScorer(servable, task.version, task.reading)

    def __call__(self, batch: Columns) -> Columns:
        """Score the one block that `batch` holds, its fields as columns; return its outcome likewise."""
        block = Block(**{name: column.tolist()[0] for name, column in batch.items()})
        return {name: np.array([value]) for name, value in asdict(self.score(block)).items()}

    def score(self, block: Block) -> Outcome:
        """Score a block and write its part; what is wrong with the block is told, and stops no other."""
        try:
            table = read_block(block, self._task.sources[block.path], self._task.columns)
            scored = self._scorer.score(table)
            self._write(block, scored.table)
        except ToxicError as error:
            return Outcome(block.number, error=str(error))
        return Outcome(block.number, rows=table.num_rows, rejected=scored.rejected)

    def _write(self, block: Block, table: pa.Table) -> None:
        part = self._task.out.child(part_name(block.number, form=self._task.form))
        part.write(encode(table, form=self._task.form))
