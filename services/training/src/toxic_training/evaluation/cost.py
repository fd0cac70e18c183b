"""The cost of serving a model: `serving.latency_ms`, `serving.threads`, `serving.size_mb`.

Latency is that of the exported model: it includes tokenising, but neither HTTP nor batching.
"""

import os
import statistics
import time
from collections.abc import Sequence

import pandas as pd
import tensorflow as tf

from toxic_training.data.comments import SOURCE, TEXT
from toxic_training.data.mixing import TEST
from toxic_training.evaluation.parameters import EvaluationParameters
from toxic_training.modelling.fitting import Clock
from toxic_training.scoring.exported import ExportedModel
from toxic_training.scoring.texts import Score, open_scorer

_WARM_UPS = 5
_RUNS = 50


def measure_cost(
    model: ExportedModel, test: pd.DataFrame, parameters: EvaluationParameters
) -> dict[str, float]:
    """Return size and latency of the exported model; latency on a test comment of median length."""
    score = open_scorer(model, parameters.reading)
    latency = measure_latency(
        score, median_comment(test[test[SOURCE] == TEST][TEXT].tolist()), clock=time.perf_counter
    )
    return latency | {"serving.size_mb": model.size_bytes() / 1e6}


def measure_latency(score: Score, text: str, *, clock: Clock) -> dict[str, float]:
    """Return the median time of one text on its own, and the threads that it may use."""
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


def median_comment(texts: Sequence[str]) -> str:
    """Return a text of median length, the shorter of the two if their number is even."""
    return sorted(texts, key=len)[(len(texts) - 1) // 2]
