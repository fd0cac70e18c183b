"""Raw scores of texts by the exported model, which TensorFlow computes in float32."""

import logging
import time
from collections.abc import Callable, Sequence

from toxic_core.tokens import Tokeniser, read_tokenizer
from toxic_model.precision import Precision
from toxic_model.runtime import Infer
from toxic_model.runtimes import TENSORFLOW
from toxic_model.scoring import RawScores, ScoringOptions, score_raw
from toxic_training.modelling.fitting import LOG_EVERY_SECONDS, Clock
from toxic_training.scoring.exported import ExportedModel

logger = logging.getLogger(__name__)

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

    `infer` computes the model's batches; None for TensorFlow.
    """
    facts = model.facts
    compute = infer or TENSORFLOW.read(model.folder, len(facts.labels))(Precision.FLOAT32, 0).whole
    tokenizer = Tokeniser(
        read_tokenizer(model.tokenizer),
        max_tokens=facts.max_tokens,
        pad_id=facts.pad_id,
        overlap=options.overlap,
        normalisation=facts.normalisation_version,
    )

    def score(texts: Sequence[str]) -> RawScores:
        started = logged = clock()

        def log(done: int, total: int, share: float) -> None:
            nonlocal logged
            now = clock()
            if now - logged >= LOG_EVERY_SECONDS:
                logged = now
                left = (now - started) * (1 / share - 1)
                logger.info("scored %d of %d texts and windows, about %.0f s left", done, total, left)

        return score_raw(
            texts,
            tokenizer=tokenizer,
            executables=(compute,),
            labels=len(facts.labels),
            options=options,
            progress=log,
        )

    return score
