"""The cost of serving a model: `serving.latency_ms`, `serving.threads`, `serving.size_mb`.

Latency is that of the exported model: it includes tokenising, but neither HTTP nor batching.
"""

import os
import statistics

import tensorflow as tf

from toxic_training.scoring.exported import ExportedModel
from toxic_training.scoring.texts import Clock, Score

_WARM_UPS = 5
_RUNS = 50
_BYTES_PER_MEGABYTE = 1e6


def measure_latency(score: Score, text: str, *, clock: Clock) -> dict[str, float]:
    """Return the median time of one text on its own, and the threads that it may use.

    Args:
        score: the exported model's.
        text: of typical length.
        clock: monotonic seconds.
    """
    seconds = []
    for _ in range(_WARM_UPS + _RUNS):
        started = clock()
        score([text])
        seconds.append(clock() - started)
    return {
        "serving.latency_ms": statistics.median(seconds[_WARM_UPS:]) * 1000,
        # TensorFlow returns 0 if it uses as many threads as the process may.
        "serving.threads": float(
            tf.config.threading.get_intra_op_parallelism_threads() or len(os.sched_getaffinity(0))
        ),
    }


def measure_size(model: ExportedModel) -> dict[str, float]:
    """Return the size on disk of SavedModel and tokenizer."""
    return {"serving.size_mb": model.size_bytes() / _BYTES_PER_MEGABYTE}
