"""How fast the default preset trains on this machine, with length bucketing and without, in bfloat16 or not.

    TOXIC_DATA_DIR=/data/toxic python -m benchmarks.training_speed

Every way trains the same comments from the same weights in a process of its own; the ways take turns, so that
a machine that slows down slows all of them. Prints comments a second by way, and each way's ratio to the
plain one (no bucketing, float32), as the median and the range over rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from toxic_core.telemetry import disable_telemetry


@dataclass(frozen=True, slots=True)
class Way:
    """One way of training.

    Attributes:
        batches_a_group: over how many batches comments are sorted by length; 1 for none.
        bfloat16: whether the CPU computes in bfloat16 where it can.
        xla: whether XLA compiles the step.
    """

    batches_a_group: int
    bfloat16: bool
    xla: bool


WAYS = {
    "plain": Way(batches_a_group=1, bfloat16=False, xla=False),
    "bfloat16": Way(batches_a_group=1, bfloat16=True, xla=False),
    "bucketed": Way(batches_a_group=50, bfloat16=False, xla=False),
    "bucketed, bfloat16": Way(batches_a_group=50, bfloat16=True, xla=False),
    "bucketed, XLA": Way(batches_a_group=50, bfloat16=False, xla=True),
}
PLAIN = "plain"


def main() -> None:
    """Run the benchmark, or, with `--way`, one of its measurements."""
    disable_telemetry()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comments", type=int, default=640, help="comments trained on by each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--encoder", default="builtin:e5-small")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("TOXIC_DATA_DIR", "data")))
    parser.add_argument("--way", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(json.dumps(_measure(Way(**arguments.way), arguments)))
        return
    _compare(arguments)
