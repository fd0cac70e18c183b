"""What serving costs beside the model: memory for a long file, time for one text."""

import asyncio
import csv
import io
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from benchmarks.serving.load import HOST, Callers, closed_loop, percentile, predict_requests
from benchmarks.serving.report import Figure
from benchmarks.serving.scale import Scale
from benchmarks.serving.stand import HEAVY, LIGHT, Stand, memory_bytes, texts

_MS = 1000
_MB = 1024 * 1024


async def csv_file(stand: Stand, scale: Scale) -> list[Figure]:
    """Score a large CSV file."""
    server, port = stand.serving(LIGHT)
    path = stand.folder / "rows.csv"
    sample = texts(10_000)
    with path.open("w", encoding="utf-8") as file:
        file.write("id,content\n")
        file.writelines(f"{row},{sample[row % len(sample)]}\n" for row in range(scale.rows))
    await asyncio.to_thread(_upload, port, path)  # once for the machine's own warm-up
    before = memory_bytes(server)
    started = time.monotonic()
    scoring = asyncio.ensure_future(asyncio.to_thread(_upload, port, path))
    most = before
    while not scoring.done():
        most = max(most, memory_bytes(server))
        await asyncio.wait([scoring], timeout=0.1)
    rows, wrong = await scoring
    seconds = time.monotonic() - started
    grown = (most - before) / _MB
    size = path.stat().st_size / _MB
    how = f"{scale.rows:,} rows, {size:.0f} MB, {scale.rows / seconds:,.0f} rows per second"
    return [
        Figure.none("rows of a CSV lost, reordered or not scored", scale.rows - rows + wrong, how),
        Figure.at_most("memory growth while a CSV is scored", grown, 100, unit="MB", detail=how),
    ]


def _upload(port: int, path: Path) -> tuple[int, int]:
    """Send a file; return how many rows came back, and how many out of place or without a score."""
    connection = HTTPConnection(HOST, port, timeout=3600)
    headers = {
        "content-type": "text/csv",
        "accept": "text/csv",
        "content-length": str(path.stat().st_size),
    }
    with path.open("rb") as file:
        connection.request("POST", "/predict", body=file, headers=headers)
    answer = connection.getresponse()
    rows = wrong = 0
    for row in csv.DictReader(io.TextIOWrapper(answer, encoding="utf-8", newline="")):
        wrong += row["id"] != str(rows) or not row["score_toxic"]
        rows += 1
    connection.close()
    return rows, wrong


async def overhead(stand: Stand, scale: Scale) -> list[Figure]:
    """Ask one text at a time, over HTTP and of the bare model in turns."""
    _, port = stand.serving(HEAVY)
    callers = Callers(port)
    served, alone = [], []
    with _bare(stand.models(HEAVY)) as bare:
        for _ in range(scale.rounds + 1):
            callers.outcomes.clear()
            requests = predict_requests(texts(scale.sample))
            await closed_loop(callers, requests, count=scale.sample, requesters=1)
            served.append(percentile([o.seconds for o in callers.outcomes], 0.5))
            alone.append(await asyncio.to_thread(_ask_bare, bare, scale.sample))
    callers.close()
    # The first round warms both up.
    http, model = statistics.median(served[1:]) * _MS, statistics.median(alone[1:]) * _MS
    return [
        Figure.at_most(
            "HTTP and batching overhead at p50, one caller",
            http - model,
            3,
            unit="ms",
            detail=f"{http:.2f} ms against {model:.2f} ms of the bare model, {scale.rounds} rounds",
        )
    ]


@contextmanager
def _bare(models: Path) -> "Iterator[subprocess.Popen[str]]":
    """Run the bare model in a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.serving.bare", str(models)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **_library_settings()},
    ) as process:
        yield process
        process.communicate()


def _library_settings() -> Mapping[str, str]:
    """Return what the service sets for TensorFlow itself."""
    names = {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "2", "TF_NUM_INTEROP_THREADS": "1"}
    return {**names, "TF_NUM_INTRAOP_THREADS": "2", "OMP_NUM_THREADS": "2"}


def _ask_bare(bare: "subprocess.Popen[str]", count: int) -> float:
    assert bare.stdin is not None  # noqa: S101  opened as a pipe
    assert bare.stdout is not None  # noqa: S101  as above
    bare.stdin.write(f"{count}\n")
    bare.stdin.flush()
    return float(bare.stdout.readline())
