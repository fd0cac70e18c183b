"""What runs in a Ray actor: one model version, and block after block from input to part.

Invariant: a block's part is written whole, under a name that the block's number gives, so scoring a block
twice does no harm.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import ray
from numpy.typing import NDArray

from toxic_batch.blocks import Block
from toxic_batch.manifest import Work, part_name
from toxic_batch.reading import encode, read_block
from toxic_batch.storage import Place
from toxic_core.contract import Bundle, open_bundle
from toxic_core.errors import ToxicError
from toxic_core.files import plain_files
from toxic_core.telemetry import disable_telemetry
from toxic_model.opening import open_model
from toxic_model.scoring import ScoringOptions
from toxic_model.table_scoring import ERROR, TableScorer

Columns = dict[str, NDArray[np.generic]]

PackedBundle = Mapping[str, bytes]
"""A bundle's files, by their paths in it."""

TEXT_COLUMN_OPTION = "--text-column"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a block.

    Attributes:
        number: the block's.
        rows: in its part.
        rejected: rows with an error instead of scores.
        error: why there is no part; empty if there is one.
    """

    number: int
    rows: int = 0
    rejected: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """What all workers of a job have in common.

    Attributes:
        version: the model's name in the output.
        options: how texts are read.
        work: the job's.
        sources: the file system of each input file, by path.
        out: the folder of the parts.
        threads: that a model may use.
    """

    version: str
    options: ScoringOptions
    work: Work
    sources: dict[str, Place]
    out: Place
    threads: int


def pack(bundle: Bundle) -> dict[str, bytes]:
    """Return a bundle as workers get it, so that they need neither the registry nor a shared disk."""
    return {name: file.read_bytes() for name, file in plain_files(bundle.path).items()}


class Worker:
    """Scores blocks; Ray runs it as an actor and calls it with one block at a time.

    Args:
        task: the job's.
        model: the bundle's files, in Ray's object store.
    """

    def __init__(self, task: Task, model: "ray.ObjectRef[PackedBundle]") -> None:
        disable_telemetry()
        self._task = task
        packed: PackedBundle = ray.get(model)
        with tempfile.TemporaryDirectory(prefix="toxic-batch-") as name:
            for path, content in packed.items():
                file = Path(name) / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            opened = open_model(
                open_bundle(Path(name)),
                threads=task.threads,
                overlap=task.options.overlap,
                precision="float32",  # the fastest one may be another on each machine
            )
        self._scorer = TableScorer(
            opened, task.version, task.options, column=task.work.text_column, option=TEXT_COLUMN_OPTION
        )

    def __call__(self, batch: Columns) -> Columns:
        """Score the one block that `batch` has, its fields as columns; return its outcome as columns."""
        block = Block(**{name: column.tolist()[0] for name, column in batch.items()})
        return {name: np.array([value]) for name, value in asdict(self.score(block)).items()}

    def score(self, block: Block) -> Outcome:
        """Score a block and write its part. An error of the block is returned, and stops no other block."""
        task = self._task
        try:
            file, work = task.sources[block.path], task.work
            table, problems = read_block(block, file, work.columns, work.options)
            scored = append_scores(table, self._scorer, problems)
            part = task.out.child(part_name(block.number, form=task.work.form))
            part.write(encode(scored, form=task.work.form))
        except ToxicError as error:
            return Outcome(block.number, error=str(error))
        rejected = sum(error != "" for error in scored.column(ERROR).to_pylist())
        return Outcome(block.number, rows=table.num_rows, rejected=rejected)


def append_scores(table: pa.Table, scorer: TableScorer, problems: Sequence[str]) -> pa.Table:
    """Return `table` with the columns of its scores; a row with a problem has this as its error.

    Raises:
        InvalidDataError: no single column of texts was found.
    """
    scored = table.rename_columns(scorer.kept_names(table.column_names))
    cells = scorer.score(table.column_names, lambda index: table.column(index).to_pylist(), problems=problems)
    for column in cells:
        scored = scored.append_column(column.name, pa.array(column.cells, mask=column.missing))
    return scored
