"""A job: from addresses of files to a folder of scored parts, on Ray Data.

Invariant: a block is never scored again, however often the job is killed and started; and bad input is
refused before Ray starts.
"""

import logging
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import ray
from ray.data import ActorPoolStrategy

from toxic_batch.blocks import Block, columns_of, infos, plan
from toxic_batch.cluster import Cluster, room, start
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
from toxic_core.errors import ContractError, InvalidDataError
from toxic_model.registered import Registry, VersionedBundle, open_folder
from toxic_model.scoring import ScoringOptions
from toxic_model.table_scoring import check_free
from toxic_model.tables import text_column

logger = logging.getLogger(__name__)

_LOG_EVERY_SECONDS = 15.0
_SHOWN_FAULTS = 5


@dataclass(frozen=True, slots=True)
class Model:
    """The model that scores.

    Attributes:
        bundle: a bundle's folder; None for a registered version.
        version: a registered version's number, or an alias.
        registry: has the versions.
    """

    bundle: Path | None
    version: str
    registry: Registry


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the command line describes it.

    Attributes:
        inputs: addresses of files and folders.
        out: address of the folder of parts.
        model: which model scores.
        options: how texts are read.
        text_column: the name of the text column; None to find it.
        form: of the parts.
        block_bytes: of input that make a part, uncompressed.
        cluster: the machines that run it.
    """

    inputs: list[str]
    out: str
    model: Model
    options: ScoringOptions
    text_column: str | None
    form: str
    block_bytes: int
    cluster: Cluster


@dataclass(frozen=True, slots=True)
class Summary:
    """The result of a run.

    Attributes:
        blocks: of the job.
        done_before: of those, scored by an earlier run.
        rows: scored by this run, with those rejected.
        rejected: rows of those without a text.
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
    found = infos(job.inputs)
    files = {place.path: place for place, _ in found}
    columns = _common_columns(list(files.values()))
    work = Work(
        files=tuple(InputFile.of(info) for _, info in found),
        columns=columns,
        form=job.form,
        block_bytes=job.block_bytes,
        windows=job.options.max_windows,
        overlap=job.options.overlap,
        text_column=job.text_column,
    )
    before = read_manifest(out)
    with tempfile.TemporaryDirectory(prefix="toxic-batch-") as folder:
        chosen = _choose(job.model, before, folder=Path(folder))
        from_registry = job.model.bundle is None
        asked = f"version {job.model.version}" if from_registry else f"bundle {chosen.digest}"
        manifest = _begin(out, before, asked=asked, chosen=chosen, work=work)
        blocks = plan(list(files.values()), block_bytes=job.block_bytes)
        left = pending(blocks, out, form=job.form)
        done = len(blocks) - len(left)
        logger.info("%d of %d blocks are scored; version %s", done, len(blocks), manifest.version)
        started = time.monotonic()
        outcomes = (
            list(_score(job, left, chosen=chosen, files=files, out=out, columns=columns)) if left else []
        )
    _check(outcomes)
    return Summary(
        blocks=len(blocks),
        done_before=done,
        rows=sum(outcome.rows for outcome in outcomes),
        rejected=sum(outcome.rejected for outcome in outcomes),
        version=manifest.version,
        seconds=time.monotonic() - started,
    )


def _common_columns(files: list[Place]) -> tuple[str, ...]:
    columns = columns_of(files[0])
    for file in files[1:]:
        if set(columns_of(file)) != set(columns) or columns_of(file) != columns:
            raise InvalidDataError(
                f"{file.path} has other columns than {files[0].path}, or in another order; score them apart."
            )
    return columns


def _choose(model: Model, before: Manifest | None, *, folder: Path) -> VersionedBundle:
    """Return the model; for a resumed job the version it began with, even if the alias moved."""
    if model.bundle is not None:
        return open_folder(model.bundle)
    taken_up = before is not None and before.asked == f"version {model.version}"
    return model.registry.fetch(before.version if before and taken_up else model.version, folder / "bundle")


def _begin(
    out: Place, before: Manifest | None, *, asked: str, chosen: VersionedBundle, work: Work
) -> Manifest:
    text_column(work.columns, chosen=work.text_column, option=TEXT_COLUMN_OPTION)
    check_free(work.columns, chosen.bundle.contract)
    if before is None:
        manifest = Manifest(asked=asked, version=chosen.version, digest=chosen.digest, work=work)
        write_manifest(out, manifest)
        return manifest
    check_same(before, asked=asked, work=work)
    if before.digest != chosen.digest:
        raise ContractError(
            f"Version {before.version} holds another model than when this job began; name another folder."
        )
    return before


def _score(
    job: Job,
    blocks: list[Block],
    *,
    chosen: VersionedBundle,
    files: dict[str, Place],
    out: Place,
    columns: tuple[str, ...],
) -> Iterator[Outcome]:
    cluster = job.cluster
    start(cluster)
    try:
        task = Task(
            model=ray.put(pack(chosen.bundle)),
            version=chosen.version,
            options=job.options,
            text_column=job.text_column,
            columns=columns,
            sources=files,
            out=out,
            form=job.form,
            threads=cluster.worker_cpus,
        )
        workers = min(len(blocks), cluster.workers or room(cluster))
        dataset = ray.data.from_items([asdict(block) for block in blocks], override_num_blocks=len(blocks))
        outcomes = dataset.map_batches(
            Worker,
            fn_constructor_args=(task,),
            batch_size=1,
            compute=ActorPoolStrategy(size=workers),
            num_cpus=cluster.worker_cpus,
            num_gpus=cluster.worker_gpus,
        )
        yield from _logged((Outcome(**row) for row in outcomes.iter_rows()), total=len(blocks))
    finally:
        ray.shutdown()


def _logged(outcomes: Iterator[Outcome], *, total: int) -> Iterator[Outcome]:
    """Log the progress of the job, after the first block and every few seconds."""
    started = logged = time.monotonic()
    rows = 0
    for number, outcome in enumerate(outcomes, start=1):
        rows += outcome.rows
        yield outcome
        now = time.monotonic()
        if number == 1 or now - logged >= _LOG_EVERY_SECONDS:
            logged = now
            logger.info(
                "%d of %d blocks, %s comments, %.0f a second",
                number,
                total,
                f"{rows:,}",
                rows / (now - started),
            )


def _check(outcomes: list[Outcome]) -> None:
    faults = [outcome.error for outcome in outcomes if outcome.error]
    if not faults:
        return
    more = len(faults) - _SHOWN_FAULTS
    lines = [*faults[:_SHOWN_FAULTS], *([f"and {more} more."] if more > 0 else [])]
    raise InvalidDataError(
        f"{len(faults)} of {len(outcomes)} blocks couldn't be scored; the others are. " + " ".join(lines)
    )
