"""How fast the default preset trains on this machine, with length bucketing and without, in bfloat16 or not.

    TOXIC_DATA_DIR=/data/toxic python -m benchmarks.training_speed

Every way trains the same comments from the same weights in a process of its own; the ways take turns, so that
a machine that slows down slows all of them. Writes comments a second by way, and each way's ratio to the
plain one (no bucketing, float32), as the median and the range over rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import keras
import pandas as pd
import yaml

from toxic_core.telemetry import disable_telemetry
from toxic_training.data.comments import LABEL_COLUMNS, label_matrix
from toxic_training.kedro_project.datasets import EncoderDataset
from toxic_training.modelling.batches import LengthBatches
from toxic_training.modelling.classifier import Encoder, build_classifier, training_loss
from toxic_training.modelling.encoders.source import find_encoder
from toxic_training.modelling.fitting import cpu_bfloat16, optimiser
from toxic_training.modelling.parameters import ModellingParameters

PARAMETERS = Path(__file__).parents[1] / "services" / "training" / "conf" / "base" / "parameters.yml"
TRAIN_FILE = Path("01_raw") / "jigsaw-toxic-comment-train.csv"
WARM_UP_STEPS = 3


@dataclass(frozen=True, slots=True)
class Way:
    """One way of training.

    Attributes:
        group_batches: over how many batches comments are sorted by length; 1 for none.
        bfloat16: whether the CPU may compute in bfloat16.
        xla: whether XLA compiles the step.
    """

    group_batches: int
    bfloat16: bool
    xla: bool


WAYS = {
    "plain": Way(group_batches=1, bfloat16=False, xla=False),
    "bfloat16": Way(group_batches=1, bfloat16=True, xla=False),
    "bucketed": Way(group_batches=50, bfloat16=False, xla=False),
    "bucketed, bfloat16": Way(group_batches=50, bfloat16=True, xla=False),
    "bucketed, XLA": Way(group_batches=50, bfloat16=False, xla=True),
}
PLAIN = "plain"


def main() -> None:
    """Run the benchmark, or, with `--way`, one of its measurements."""
    disable_telemetry()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--comments", type=int, default=640, help="comments trained on by each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--encoder", default="builtin:e5-small")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("TOXIC_DATA_DIR", "data")))
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks-training.md"))
    parser.add_argument("--way", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(json.dumps(_measure(Way(**arguments.way), arguments)))
        return
    _compare(arguments)


def _compare(arguments: argparse.Namespace) -> None:
    speeds: dict[str, list[float]] = {name: [] for name in WAYS}
    for number in range(arguments.rounds):
        for name, way in WAYS.items():
            command = [sys.executable, "-m", "benchmarks.training_speed", *sys.argv[1:]]
            command += ["--way", json.dumps(asdict(way))]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            speeds[name].append(float(done.stdout.splitlines()[-1]))
            print(f"round {number + 1}, {name}: {speeds[name][-1]:.1f} comments/s", file=sys.stderr)
    arguments.out.write_text(_report(speeds, arguments), encoding="utf-8")
    print(f"Written: {arguments.out}")


def _report(speeds: dict[str, list[float]], arguments: argparse.Namespace) -> str:
    rows = []
    for name, values in speeds.items():
        ratios = [value / plain for value, plain in zip(values, speeds[PLAIN], strict=True)]
        rows.append(f"| {name} | {_spread(values, digits=1)} | {_spread(ratios, digits=2)} |")
    table = "\n".join(rows)
    return f"""# Training speed

Written by `make bench-training` on {datetime.now(UTC):%Y-%m-%dT%H:%M+00:00}: {os.cpu_count()} CPUs,
encoder `{arguments.encoder}`, {arguments.comments} real comments, rounds in turns: {arguments.rounds}.
Read the ratios, not the figures.

| way | comments/s, median (range) | against {PLAIN} |
|---|---|---|
{table}

*Bucketed*: batches of like length, sorted within groups of 50. *XLA* compiles each length anew, which a
training of hours pays once for each and this one pays within its time.
"""


def _spread(values: list[float], *, digits: int) -> str:
    ends = f"{min(values):.{digits}f} to {max(values):.{digits}f}"
    return f"{statistics.median(values):.{digits}f} ({ends})"


def _measure(way: Way, arguments: argparse.Namespace) -> float:
    """Return comments a second, after a few steps that trace the graph."""
    settings = yaml.safe_load(PARAMETERS.read_text(encoding="utf-8"))["modelling"]
    parameters = ModellingParameters.model_validate({**settings, "encoder": arguments.encoder})
    raw = pd.read_csv(arguments.data / TRAIN_FILE, keep_default_na=False)
    comments = raw.sample(arguments.comments, random_state=parameters.seed)
    with tempfile.TemporaryDirectory() as folder:
        encoder = _prepare(EncoderDataset(folder), comments["comment_text"].tolist(), parameters)
        classifier = build_classifier(
            encoder.load_backbone(), dropout=parameters.dropout, train_embeddings=parameters.train_embeddings
        )
    batches = LengthBatches(
        encoder.tokeniser(max_tokens=parameters.max_tokens).token_ids(comments["comment_text"].tolist()),
        label_matrix(comments.astype(dict.fromkeys(LABEL_COLUMNS, "float32"))),
        batch_size=parameters.batch_size,
        pad_id=encoder.pad_id,
        seed=parameters.seed,
        group_batches=way.group_batches,
    )
    loss = training_loss([1.0] * len(LABEL_COLUMNS), teacher_share=0.0)
    classifier.compile(optimizer=optimiser(parameters), loss=loss, jit_compile=way.xla)
    with cpu_bfloat16(wanted=way.bfloat16):
        _train(classifier, batches, range(WARM_UP_STEPS))
        seconds = _train(classifier, batches, range(batches.steps_per_epoch))
    return float(arguments.comments / seconds)


def _prepare(dataset: EncoderDataset, texts: list[str], parameters: ModellingParameters) -> Encoder:
    files = find_encoder(
        parameters.encoder,
        texts=texts,
        vocabulary_size=parameters.vocabulary_size,
        seed=parameters.seed,
    )
    dataset.save(files)
    return dataset.load()


def _train(classifier: keras.Model, batches: LengthBatches, steps: range) -> float:
    started = time.perf_counter()
    for step in steps:
        classifier.train_on_batch(*batches.batch(step))
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
