"""Raw scores of texts by the exported model, computed in float32 by the runtime that serves it."""

import logging
import time
from collections.abc import Callable, Sequence

from toxic_core.errors import ConfigurationError
from toxic_core.tokens import Tokeniser, read_tokenizer
from toxic_model.errors import SignatureError
from toxic_model.opening import choose_runtimes
from toxic_model.precision import Precision
from toxic_model.runtime import Infer, Runtime
from toxic_model.scoring import RawScores, ScoringOptions, score_raw
from toxic_training.modelling.fitting import LOG_EVERY_SECONDS, Clock
from toxic_training.scoring.exported import ExportedModel

logger = logging.getLogger(__name__)

Score = Callable[[Sequence[str]], RawScores]
"""Scores texts, without calibration."""


def inference(model: ExportedModel, precision: Precision, runtimes: Sequence[Runtime]) -> Infer | None:
    """Compile an exported model for all threads that the process may use.

    The first of `runtimes` that can is taken; None if this machine has none for `precision`.
    """
    for runtime in runtimes:
        if not runtime.installed() or precision not in (Precision.FLOAT32, *runtime.lower_precisions()):
            continue
        try:
            return runtime.read(model.folder, len(model.facts.labels))(precision, 0).whole
        except SignatureError as error:
            logger.warning("%s can't compute %s in %s: %s", runtime.name, model.folder, precision, error)
    return None


def open_scorer(
    model: ExportedModel,
    options: ScoringOptions,
    *,
    infer: Infer | None = None,
    clock: Clock = time.monotonic,
) -> Score:
    """Load an exported model, which takes as much memory as it has weights.

    `infer` computes the model's batches; None for the fastest runtime that is installed and can read it.
    """
    facts = model.facts
    compute = infer or inference(model, Precision.FLOAT32, choose_runtimes())
    if compute is None:
        raise ConfigurationError(f"No runtime that is installed can compute {model.folder} in float32.")
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
            whole=compute,
            labels=len(facts.labels),
            options=options,
            progress=log,
        )

    return score
