"""From texts to raw scores, the way that serving gets them.

Invariant: a score depends on its text alone, not on what is scored beside it; results are in the order of
the texts.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from toxic_core.contract import ATTENTION_MASK, INPUT_IDS, SCORES, SIGNATURE
from toxic_core.labels import LABELS
from toxic_core.tokens import EncodedBatch, Int32Array
from toxic_model.packing import length_groups, pad_to_step
from toxic_training.scoring.exported import ExportedModel

logger = logging.getLogger(__name__)

_LOG_EVERY_SECONDS = 15.0

Clock = Callable[[], float]
Infer = Callable[[EncodedBatch], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Scored:
    """Texts' scores.

    Attributes:
        scores: raw, float32 [texts, labels].
        tokens: read of each text, int32 [texts].
    """

    scores: NDArray[np.float32]
    tokens: Int32Array


@dataclass(frozen=True, slots=True)
class Reading:
    """How texts are read.

    Attributes:
        batch_tokens: the most tokens, padding included, that are scored at once.
        windows: the most windows that a long text is read in; the highest counts, as it does in serving.
        overlap: tokens that neighbouring windows share.
    """

    batch_tokens: int
    windows: int = 1
    overlap: int = 0


class Scorer(Protocol):
    """Gives texts their raw scores."""

    def score(self, texts: Sequence[str]) -> Scored:
        """Score `texts`."""
        ...


class SavedModelScorer:
    """Implements `Scorer` on an exported model; loading it costs as much memory as it has weights.

    Args:
        model: what is loaded.
        reading: how texts are read.
        infer: gives a batch its scores in another way than TensorFlow.
        clock: seconds, never falling; for the progress that is logged.
    """

    def __init__(
        self,
        model: ExportedModel,
        reading: Reading,
        *,
        infer: Infer | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._tokeniser = model.tokeniser(overlap=reading.overlap)
        self._reading = reading
        self._clock = clock
        self._infer = infer or _Tensorflow(model)

    def score(self, texts: Sequence[str]) -> Scored:
        """Score `texts` in batches of like length, so that short ones don't pay for long ones."""
        read = self._tokeniser.encode_windows(texts, most=self._reading.windows)
        by_window = self._score_rows([window for text in read for window in text.windows])
        starts = np.cumsum([0, *(len(text.windows) for text in read)])[:-1]
        scores = np.maximum.reduceat(by_window, starts) if read else by_window
        return Scored(scores=scores, tokens=np.array([text.tokens for text in read], dtype=np.int32))

    def _score_rows(self, rows: list[Int32Array]) -> NDArray[np.float32]:
        lengths = np.array([len(row) for row in rows], dtype=np.int32)
        scores = np.zeros((len(rows), len(LABELS)), dtype=np.float32)
        progress = _Progress(lengths, clock=self._clock)
        for batch in length_groups(lengths, batch_tokens=self._reading.batch_tokens):
            encoded = pad_to_step([rows[index] for index in batch], pad_id=self._tokeniser.pad_id)
            scores[batch] = self._infer(encoded)
            progress.advance(batch)
        return scores


class _Tensorflow:
    """Implements `Infer`."""

    def __init__(self, model: ExportedModel) -> None:
        # The model is kept, for its signature holds its variables only weakly.
        self._model = tf.saved_model.load(str(model.saved_model))
        self._signature = self._model.signatures[SIGNATURE]

    def __call__(self, batch: EncodedBatch) -> NDArray[np.float32]:
        inputs = {INPUT_IDS: batch.input_ids, ATTENTION_MASK: batch.attention_mask}
        output = self._signature(**{name: tf.constant(value) for name, value in inputs.items()})
        return np.asarray(output[SCORES], dtype=np.float32)


class _Progress:
    """Logs now and then how much is scored and how long the rest will take."""

    def __init__(self, tokens: Int32Array, *, clock: Clock) -> None:
        self._tokens = tokens
        self._clock = clock
        self._started = self._logged = clock()
        self._rows = 0
        self._done = 0

    def advance(self, batch: NDArray[np.intp]) -> None:
        self._rows += len(batch)
        self._done += int(self._tokens[batch].sum())
        now = self._clock()
        if now - self._logged < _LOG_EVERY_SECONDS:
            return
        self._logged = now
        left = (now - self._started) * (self._tokens.sum() / self._done - 1)
        logger.info(
            "scored %d of %d texts and windows, about %.0f s left", self._rows, len(self._tokens), left
        )


def median_comment(tokens: Int32Array) -> int:
    """Return the place of a text of median length, the lower of the two where their number is even."""
    return int(np.argsort(tokens, kind="stable")[math.ceil(len(tokens) / 2) - 1])
