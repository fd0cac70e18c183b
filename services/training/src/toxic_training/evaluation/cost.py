"""What serving a model costs: `serving.latency_ms`, `serving.threads`, `serving.size_mb`.

Invariant: latency is that of the exported model itself, tokenising included, HTTP and batching not.
"""

import os
import statistics
from collections.abc import Callable

import tensorflow as tf

from toxic_training.scoring.exported import ExportedModel
from toxic_training.scoring.texts import Scorer

_WARM_UPS = 5
_RUNS = 50
_BYTES_A_MEGABYTE = 1e6

Clock = Callable[[], float]


def measure_latency(scorer: Scorer, text: str, *, clock: Clock) -> dict[str, float]:
    """Return the median time of one text on its own, and the threads that it may use.

    Args:
        scorer: the exported model's.
        text: of typical length.
        clock: seconds, never falling.
    """
    seconds = []
    for _ in range(_WARM_UPS + _RUNS):
        started = clock()
        scorer.score([text])
        seconds.append(clock() - started)
    return {
        "serving.latency_ms": statistics.median(seconds[_WARM_UPS:]) * 1000,
        "serving.threads": float(_threads()),
    }


def measure_size(model: ExportedModel) -> dict[str, float]:
    """Return the size on disk of SavedModel and tokenizer."""
    return {"serving.size_mb": model.size_bytes() / _BYTES_A_MEGABYTE}


def _threads() -> int:
    # TensorFlow says 0 where it takes as many as the process may use.
    return tf.config.threading.get_intra_op_parallelism_threads() or len(os.sched_getaffinity(0))
