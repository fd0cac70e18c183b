"""Measures the memory and time of `data_processing` on generated comments, for two numbers of them.

    python -m benchmarks.data_processing [--rows 2000000 20000000] [--folder FOLDER]

Each number runs `toxic_training run --pipelines data_processing` on a train file of so many rows, beside
1,000 rows of validation and test. A tenth of the comments repeats another one, a third of those with other
labels; one in a thousand is blank. Prints the peak memory of the process and its children, the wall time, the
processor time, which other work on the machine changes less, and the rows kept; then the ratios of both.

The folder needs 1 GB per million comments, which are removed in the end. Floors: at most 4 GB for 20 million
rows, and at most 11 times the time of 2 million.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
from pyarrow import compute, csv

from benchmarks.peers.processes import Running
from toxic_core.labels import LABELS

_SEED = 20200622
_CHUNK_ROWS = 200_000
_SMALL_ROWS = 1_000
_SAMPLE_SECONDS = 0.5
_WORDS = pa.array(
    (
        *("the", "a", "my", "your", "town", "weather", "morning", "garden", "train", "coffee", "letter"),
        *("river", "answer", "question", "window", "picture", "market", "teacher", "friend", "really"),
        *("never", "often", "quickly", "maybe", "please", "thanks", "good", "bad", "strange", "quiet"),
        *("long", "short", "nice", "dull", "clever", "silly", "walks", "reads", "writes", "likes", "hears"),
    )
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: the peak memory in bytes, wall and processor time in seconds, and the rows kept."""

    peak_bytes: int
    seconds: float
    cpu_seconds: float
    kept: int


def main() -> None:
    """Measure and print, one number of rows per line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, nargs=2, default=[2_000_000, 20_000_000])
    parser.add_argument("--folder", type=Path, help="for the tables; a temporary one by default")
    given = parser.parse_args()
    found = []
    print(f"{'rows':>12}{'peak, MB':>12}{'wall, s':>12}{'CPU, s':>12}{'kept':>12}", flush=True)
    for rows in given.rows:
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            write_tables(Path(folder) / "01_raw", rows)
            run = measure(Path(folder))
        found.append(run)
        figures = f"{run.peak_bytes / 1e6:12,.0f}{run.seconds:12,.0f}{run.cpu_seconds:12,.0f}{run.kept:12,}"
        print(f"{rows:12,}{figures}", flush=True)
    few, many = found
    print(f"time {many.seconds / few.seconds:.1f}x, CPU time {many.cpu_seconds / few.cpu_seconds:.1f}x")


def write_tables(folder: Path, rows: int) -> None:
    """Write Jigsaw's four files with generated comments, the train file with `rows`."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(_SEED)
    words = pa.schema(dict.fromkeys(["id", "comment_text", *LABELS], pa.string()))
    with csv.CSVWriter(folder / "jigsaw-toxic-comment-train.csv", words) as writer:
        for start in range(0, rows, _CHUNK_ROWS):
            numbers = np.arange(start, min(start + _CHUNK_ROWS, rows))
            # A tenth repeats the text of an earlier number, anywhere in the file.
            repeats = generator.random(len(numbers)) < 0.1  # noqa: PLR2004
            named = np.where(repeats, generator.integers(0, numbers + 1), numbers)
            columns = {"id": compute.cast(pa.array(numbers), "string"), "comment_text": _texts(named)}
            flipped = repeats & (generator.random(len(numbers)) < 1 / 3)
            for shift, label in enumerate(LABELS):
                toxic = (_mixed(named, 100 + shift) % (10 * (shift + 1)) == 0) ^ flipped
                columns[label] = compute.cast(pa.array(toxic.astype(np.int8)), "string")
            writer.write_table(pa.table(columns))
    few = np.arange(_SMALL_ROWS)
    ids, zeros = compute.cast(pa.array(few), "string"), pa.array((few % 2).astype(str))
    labels = {"id": ids, "toxic": zeros}
    for name, text, first, more in (
        ("validation.csv", "comment_text", 1, labels),
        ("test.csv", "content", 900, {"id": ids}),
    ):
        columns = {text: _texts(-first - few), "lang": pa.array(["es"] * len(few))}
        csv.write_csv(pa.table(more | columns), folder / name)
    csv.write_csv(pa.table(labels), folder / "test_labels.csv")


def measure(data: Path) -> Measured:
    """Run `data_processing` on the folder's tables."""
    environment = os.environ | {
        "TOXIC_DATA_DIR": str(data),
        "MLFLOW_TRACKING_URI": f"sqlite:///{data / 'mlflow.db'}",
    }
    command = [sys.executable, "-m", "toxic_training", "run", "--pipelines", "data_processing"]
    log = data / "log.txt"
    started = time.monotonic()
    with log.open("wb") as output:
        process = psutil.Popen(command, env=environment, cwd=data, stdout=output, stderr=subprocess.STDOUT)
        running = Running(process, port=0, ready_seconds=0)
        peak, cpu = 0, 0.0
        while process.poll() is None:
            peak, cpu = max(peak, running.memory_bytes()), running.cpu_seconds() or cpu
            time.sleep(_SAMPLE_SECONDS)
    seconds = time.monotonic() - started
    if process.returncode:
        raise SystemExit(f"data_processing failed:\n{log.read_text()[-2_000:]}")
    counts = json.loads((data / "08_reporting" / "data_counts.json").read_text())
    return Measured(peak, seconds, cpu, int(counts["rows.training"] + counts["rows.validation"]))


def _mixed(numbers: np.ndarray, salt: int) -> np.ndarray:
    """Return a pseudo-random number from each number alone."""
    mixed = numbers.astype(np.uint64) + np.uint64(salt * 0x9E3779B97F4A7C15 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def _texts(numbers: np.ndarray) -> pa.Array:
    """Return a comment of 3 to 14 words for each number, the same for the same number."""
    length = 3 + _mixed(numbers, 50) % 11
    words = []
    for position in range(13):
        word = _WORDS.take(pa.array((_mixed(numbers, position) % len(_WORDS)).astype(np.int64)))
        words.append(compute.if_else(pa.array(length > position), word, pa.scalar(None, "string")))
    number = compute.cast(pa.array(numbers), "string")
    texts = compute.binary_join_element_wise(*words, number, " ", null_handling="skip")
    return compute.if_else(pa.array(_mixed(numbers, 60) % 1_000 == 0), pa.scalar(" "), texts)


if __name__ == "__main__":
    main()
