"""How fast `toxic-batch` scores beside the bare model, and how it scales from one worker to two.

    python -m benchmarks.batch_scoring --bundle FOLDER

The same generated comments, as long as Jigsaw's, every time; the ways take turns, so that a machine that
slows down slows all of them. A job's speed is that from its first written part to its last, since what it
takes to start Ray and load the model doesn't depend on the job's length; it is reported separately.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.peers.traffic import comments
from toxic_core.contract import open_bundle
from toxic_core.telemetry import disable_telemetry
from toxic_core.tokens import EncodedBatch
from toxic_model.loaded import Infer
from toxic_model.opening import open_model
from toxic_model.packing import length_groups, pad_to_step
from toxic_model.runtime import any_of

BATCH_TOKENS = 8192
LEAST_SHARE = 0.9
ROWS_ON_PAPER = 100_000_000
WORKERS_ON_PAPER = (1, 2, 4, 16, 64)
_BLOCK_BYTES = 1024 * 1024
"""A quarter of the default block, so that a short job has several; packed 3% worse."""
_LONGEST = 1_000
_TRIED = 5
"""One of so many of the bare model's batches is tried both ways first."""
_WINDOWS, _OVERLAP = 32, 32
"""What `toxic-batch` reads a long text in by default."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way of scoring.

    Attributes:
        workers: Ray's actors; 0 for the bare model without Ray.
        cpus: threads of each.
    """

    workers: int
    cpus: int


BARE = "bare model, 2 threads"
ONE_OF_TWO = "1 worker of 2 cores"
ONE = "1 worker of 1 core"
TWO = "2 workers of 1 core"
WAYS = {BARE: Way(0, 2), ONE_OF_TWO: Way(1, 2), ONE: Way(1, 1), TWO: Way(2, 1)}


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run took.

    Attributes:
        rate: comments a second, once it runs.
        start_seconds: before the first part was written.
    """

    rate: float
    start_seconds: float = 0.0


def main() -> None:
    """Measure every way in turns, and write the report."""
    disable_telemetry()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--comments", type=int, default=8_500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks-batch.md"))
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    bundle = open_bundle(arguments.bundle)
    tokeniser = bundle.tokeniser(max_tokens=_LONGEST)
    texts = comments(arguments.comments, tokeniser=tokeniser)
    if arguments.bare:
        print(json.dumps(_bare_rate(arguments.bundle, texts)))
        return
    found: dict[str, list[Measured]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory(prefix="toxic-bench-") as name:
        source = _write(Path(name) / "comments.csv", texts)
        for number in range(arguments.rounds):
            for title, way in WAYS.items():
                out = Path(name) / f"{number}-{way.workers}-{way.cpus}"
                measured = _job(way, arguments.bundle, source, out) if way.workers else _bare(sys.argv[1:])
                found[title].append(measured)
                print(
                    f"round {number + 1}, {title}: {measured.rate:.1f} comments/s after "
                    f"{measured.start_seconds:.1f} s",
                    flush=True,
                )
    arguments.out.write_text(_report(found, rows=len(texts)), encoding="utf-8")
    print(f"Written: {arguments.out}")


def _write(path: Path, texts: Sequence[str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "comment_text"])
        writer.writerows(enumerate(texts))
    return path


def _bare(arguments: Sequence[str]) -> Measured:
    command = [sys.executable, "-m", "benchmarks.batch_scoring", *arguments, "--bare"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Measured(rate=float(done.stdout.splitlines()[-1]))


def _bare_rate(folder: Path, texts: Sequence[str]) -> float:
    """Return comments a second of the model alone, one batch after the other or side by side: the faster way.

    Their tokens are at hand, and packed as a job packs them, over all texts.
    """
    threads = WAYS[BARE].cpus
    model = open_model(open_bundle(folder), threads=threads, overlap=_OVERLAP, precision="float32")
    read = model.tokenizer.encode_windows(texts, most=_WINDOWS)
    windows = [window for text in read for window in text.windows]
    lengths = np.array([len(window) for window in windows], dtype=np.int32)
    batches = [
        pad_to_step([windows[index] for index in group], pad_id=model.contract.pad_id)
        for group in length_groups(lengths, batch_tokens=BATCH_TOKENS)
    ]
    ways = [(model.whole,), model.streams or (model.whole,)]
    faster = min(ways, key=lambda executables: _seconds(executables, batches[::_TRIED]))
    return len(texts) / _seconds(faster, batches)


def _seconds(executables: Sequence[Infer], batches: Sequence[EncodedBatch]) -> float:
    infer = any_of(executables)
    with ThreadPoolExecutor(len(executables)) as threads:
        list(threads.map(infer, batches[: len(executables)]))
        started = time.perf_counter()
        list(threads.map(infer, reversed(batches)))
        return time.perf_counter() - started


def _job(way: Way, bundle: Path, source: Path, out: Path) -> Measured:
    command = [sys.executable, "-m", "toxic_batch", str(source), "--bundle", str(bundle), "--out", str(out)]
    command += ["--workers", str(way.workers), "--worker-cpus", str(way.cpus)]
    command += ["--block-bytes", str(_BLOCK_BYTES), "--batch-tokens", str(BATCH_TOKENS)]
    started = time.time()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    parts = sorted(out.glob("part-*"), key=lambda part: part.stat().st_mtime)
    written = [part.stat().st_mtime for part in parts]
    rows = [pq.read_metadata(part).num_rows for part in parts]
    # The first of each worker is left out, because its start wasn't measured.
    first = way.workers
    return Measured(
        rate=sum(rows[first:]) / (written[-1] - written[first - 1]),
        start_seconds=written[0] - started,
    )


def _report(found: dict[str, list[Measured]], *, rows: int) -> str:
    rates = {name: [measured.rate for measured in runs] for name, runs in found.items()}
    together, apart = (
        [job / bare for job, bare in zip(rates[way], rates[BARE], strict=True)] for way in (ONE_OF_TWO, TWO)
    )
    scaling = [two / one for two, one in zip(rates[TWO], rates[ONE], strict=True)]
    start = statistics.median(measured.start_seconds for measured in found[ONE])
    one, efficiency = statistics.median(rates[ONE]), statistics.median(scaling) / 2
    ways = "\n".join(
        f"| {name} | {_spread(rates[name])} | {statistics.median(run.start_seconds for run in runs):.1f} |"
        for name, runs in found.items()
    )
    paper = "\n".join(
        f"| {n} | {_hours(n, start=start, one=one, efficiency=efficiency):.1f} |" for n in WORKERS_ON_PAPER
    )
    return f"""# Scoring files

Written by `make bench-batch` on {datetime.now(UTC):%Y-%m-%dT%H:%M+00:00}: {os.cpu_count()} CPUs,
{rows:,} generated comments, rounds in alternation: {len(scaling)}. Compare ratios, not absolute figures.

| figure | median (range over rounds) | target | holds |
|---|---|---|---|
| `toxic-batch`, 1 worker of 2 cores, against the bare model | {_spread(together)} | {_asked(together)} |
| `toxic-batch`, 2 workers of 1 core, against the bare model | {_spread(apart)} | {_asked(apart)} |
| 2 workers of 1 core, against 1 such worker | {_spread(scaling)} | | |

| | comments/s | s before the first part |
|---|---|---|
{ways}

Extrapolated from these: {ROWS_ON_PAPER / 1e6:.0f} million comments take n workers of 1 core
{start:.0f} s + rows / (n × {one:.0f} × {efficiency:.2f}). Workers share the driver, which hands each
a block's address and gets a line back, and the folder. What two of them on one machine lose to each other,
its memory and its caches, is assumed for any number of workers.

| workers | hours |
|---|---|
{paper}
"""


def _hours(workers: int, *, start: float, one: float, efficiency: float) -> float:
    rate = one if workers == 1 else workers * one * efficiency
    return (start + ROWS_ON_PAPER / rate) / 3600


def _asked(shares: Sequence[float]) -> str:
    holds = "yes" if statistics.median(shares) >= LEAST_SHARE else "**no**"
    return f"≥ {LEAST_SHARE} | {holds}"


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
