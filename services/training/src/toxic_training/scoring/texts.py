"""Raw scores of texts by the exported model, which TensorFlow computes in float32."""

import logging
import math
import time
from collections.abc import Callable, Sequence

import numpy as np

from toxic_core.tokens import Int32Array
from toxic_model.precision import Precision
from toxic_model.runtime import Infer
from toxic_model.runtimes import TENSORFLOW
from toxic_model.scoring import Progress, RawScores, ScoringOptions, score_raw
from toxic_training.scoring.exported import ExportedModel

logger = logging.getLogger(__name__)

_LOG_EVERY_SECONDS = 15.0

Clock = Callable[[], float]

Score = Callable[[Sequence[str]], RawScores]
"""Scores texts, without calibration."""


def open_scorer(
    model: ExportedModel,
    options: ScoringOptions,
    *,
    infer: Infer | None = None,
    clock: Clock = time.monotonic,
) -> Score:
    """Load an exported model, which takes as much memory as it has weights.

    Args:
        model: what is loaded.
        options: how texts are read.
        infer: computes the model's batches; None for TensorFlow.
        clock: monotonic seconds, for the progress in the log.
    """
    compute = infer or TENSORFLOW.read(model.saved_model, len(model.facts.labels))(Precision.FLOAT32, 0).whole
    tokenizer = model.tokeniser(overlap=options.overlap)

    def score(texts: Sequence[str]) -> RawScores:
        return score_raw(
            texts,
            tokenizer=tokenizer,
            executables=(compute,),
            labels=len(model.facts.labels),
            options=options,
            progress=_log_progress(clock),
        )

    return score


def _log_progress(clock: Clock) -> Progress:
    """Return a function that logs now and then how much is scored and how long the rest will take."""
    started = logged = clock()

    def report(done: int, total: int, share: float) -> None:
        nonlocal logged
        now = clock()
        if now - logged >= _LOG_EVERY_SECONDS:
            logged = now
            left = (now - started) * (1 / share - 1)
            logger.info("scored %d of %d texts and windows, about %.0f s left", done, total, left)

    return report


def median_comment(tokens: Int32Array) -> int:
    """Return the index of a text of median length, the lower of the two if their number is even."""
    return int(np.argsort(tokens, kind="stable")[math.ceil(len(tokens) / 2) - 1])
