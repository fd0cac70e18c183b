"""A job: from addresses of files to a folder of scored parts, on Ray Data.

Invariant: a block is never scored again, however often the job is killed and started; and bad input is
refused before Ray starts.
"""

import logging
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import ray
from ray.data import ActorPoolStrategy

from toxic_batch.blocks import Block, columns_of, infos, plan
from toxic_batch.cluster import room, start
from toxic_batch.manifest import (
    InputFile,
    Manifest,
    Work,
    check_same,
    pending,
    read_manifest,
    write_manifest,
)
from toxic_batch.storage import Place
from toxic_batch.worker import TEXT_COLUMN_OPTION, Outcome, Task, Worker, pack
from toxic_core.contract import Bundle
from toxic_core.errors import ContractError, InvalidDataError
from toxic_core.tables import TableOptions, text_column
from toxic_model.registered import Registry, VersionedBundle, open_folder
from toxic_model.scoring import ScoringOptions

logger = logging.getLogger(__name__)

_LOG_EVERY_SECONDS = 15.0
_SHOWN_FAULTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as the command line describes it: one field per option, documented there."""

    inputs: list[str]
    out: str
    text_column: str | None
    encoding: str | None
    delimiter: str | None
    form: str
    block_bytes: int
    bundle: Path | None
    version: str
    registry: str
    model_name: str
    batch_tokens: int
    max_windows: int
    window_overlap: int
    address: str | None
    workers: int | None
    worker_cpus: int
    worker_gpus: float

    @property
    def options(self) -> ScoringOptions:
        """How texts are read."""
        return ScoringOptions(self.batch_tokens, self.max_windows, self.window_overlap)


@dataclass(frozen=True, slots=True)
class Summary:
    """The result of a run.

    Attributes:
        blocks: of the job.
        done_before: of those, scored by an earlier run.
        rows: scored by this run, with those rejected.
        rejected: rows of those with an error.
        version: the model's.
        seconds: from Ray's start to the last part.
    """

    blocks: int
    done_before: int
    rows: int
    rejected: int
    version: str
    seconds: float


def run(job: Job) -> Summary:
    """Score the blocks that have no part yet.

    Raises:
        ToxicError: the job can't start, or some blocks couldn't be scored; the parts of the others stay.
    """
    out = Place.of(job.out)
    found = infos(job.inputs, out=out)
    files = [place for place, _ in found]
    options = TableOptions(job.encoding, job.delimiter, job.text_column)
    columns = columns_of(files[0], options)
    for file in files[1:]:
        if columns_of(file, options) != columns:
            raise InvalidDataError(
                f"{file.path} has other columns than {files[0].path}, or in another order; score them apart."
            )
    work = Work(
        files=tuple(
            InputFile(path=info.path, bytes=info.size, modified_ns=info.mtime_ns or 0) for _, info in found
        ),
        columns=columns,
        form=job.form,
        block_bytes=job.block_bytes,
        windows=job.max_windows,
        overlap=job.window_overlap,
        text_column=job.text_column,
        encoding=job.encoding,
        delimiter=options.delimiter,
    )
    with tempfile.TemporaryDirectory(prefix="toxic-batch-") as folder:
        chosen = _open(job, work, out=out, folder=Path(folder) / "bundle")
        blocks = plan(files, block_bytes=job.block_bytes, options=options)
        left = pending(blocks, out, form=job.form)
        done = len(blocks) - len(left)
        logger.info("%d of %d blocks are scored; version %s", done, len(blocks), chosen.version)
        started = time.monotonic()
        sources = {file.path: file for file in files}
        task = Task(chosen.version, job.options, work, sources=sources, out=out, threads=job.worker_cpus)
        outcomes = _score(job, left, task=task, bundle=chosen.bundle) if left else []
    if faults := [outcome.error for outcome in outcomes if outcome.error]:
        more = len(faults) - _SHOWN_FAULTS
        lines = [*faults[:_SHOWN_FAULTS], *([f"and {more} more."] if more > 0 else [])]
        raise InvalidDataError(
            f"{len(faults)} of {len(outcomes)} blocks couldn't be scored; the others are. " + " ".join(lines)
        )
    return Summary(
        blocks=len(blocks),
        done_before=done,
        rows=sum(outcome.rows for outcome in outcomes),
        rejected=sum(outcome.rejected for outcome in outcomes),
        version=chosen.version,
        seconds=time.monotonic() - started,
    )


def _open(job: Job, work: Work, *, out: Place, folder: Path) -> VersionedBundle:
    """Return the model, and write the manifest of a new job or compare that of an earlier run."""
    before = read_manifest(out)
    if job.bundle is not None:
        chosen = open_folder(job.bundle)
        asked = f"bundle {chosen.digest}"
    else:
        asked = f"version {job.version}"
        # A resumed job keeps the version that it began with, even if the alias moved.
        version = before.version if before is not None and before.asked == asked else job.version
        chosen = Registry(job.registry, job.model_name).fetch(version, folder)
    text_column(work.columns, chosen=work.text_column, option=TEXT_COLUMN_OPTION)
    if before is None:
        write_manifest(out, Manifest(asked=asked, version=chosen.version, digest=chosen.digest, work=work))
        return chosen
    check_same(before, asked=asked, work=work)
    if before.digest != chosen.digest:
        raise ContractError(
            f"Version {before.version} holds another model than when this job began; name another folder."
        )
    return chosen


def _score(job: Job, blocks: list[Block], *, task: Task, bundle: Bundle) -> list[Outcome]:
    """Score blocks on Ray, and log the progress after the first block and every few seconds."""
    start(job.address)
    try:
        dataset = ray.data.from_items([asdict(block) for block in blocks], override_num_blocks=len(blocks))
        workers = job.workers or room(worker_cpus=job.worker_cpus, worker_gpus=job.worker_gpus)
        scored = dataset.map_batches(
            Worker,
            fn_constructor_args=(task, ray.put(pack(bundle))),
            batch_size=1,
            compute=ActorPoolStrategy(size=min(len(blocks), workers)),
            num_cpus=job.worker_cpus,
            num_gpus=job.worker_gpus,
        )
        outcomes: list[Outcome] = []
        began = logged = time.monotonic()
        for row in scored.iter_rows():
            outcomes.append(Outcome(**row))
            now = time.monotonic()
            if len(outcomes) == 1 or now - logged >= _LOG_EVERY_SECONDS:
                logged = now
                rows = sum(outcome.rows for outcome in outcomes)
                facts = (len(outcomes), len(blocks), f"{rows:,}", rows / (now - began))
                logger.info("%d of %d blocks, %s comments, %.0f a second", *facts)
        return outcomes
    finally:
        ray.shutdown()
