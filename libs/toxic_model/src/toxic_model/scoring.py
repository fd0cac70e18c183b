"""From texts to scores: windows for long texts, batches of similar length, calibration, decisions.

Invariant: a text's scores depend only on the text and its language, not on the texts that share its batch;
results are in the order of the texts.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toxic_core.contract import Contract
from toxic_core.contract.calibration import calibrate
from toxic_core.tokens import Int32Array, Tokeniser, WindowedText
from toxic_model.packing import length_groups, pad_to_step
from toxic_model.runtime import Float32Array, Infer, any_of

Progress = Callable[[int, int, float], None]
"""Called after each batch with the windows done, all windows, and the share of all tokens that is done."""


@dataclass(frozen=True, slots=True)
class ScoringOptions:
    """How texts are read.

    Attributes:
        batch_tokens: the most tokens, padding included, that are computed at once.
        max_windows: the most windows that a long text is read in; a text beyond them is cut.
        overlap: tokens that neighbouring windows share; for opening the tokenizer.
    """

    batch_tokens: int
    max_windows: int = 1
    overlap: int = 0


AS_SERVED = ScoringOptions(batch_tokens=8192, max_windows=400, overlap=16)
"""The inference service's defaults: every text of 20,480 bytes is read to its end."""


@dataclass(frozen=True, slots=True)
class RawScores:
    """Uncalibrated scores of texts.

    Attributes:
        scores: float32 [texts, labels].
        tokens: tokens read per text, int32 [texts].
        low_confidence: whether the vocabulary lacks most of a text, bool [texts].
    """

    scores: Float32Array
    tokens: Int32Array
    low_confidence: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Scores:
    """Calibrated scores of texts.

    Attributes:
        scores: float32 [texts, labels], in the contract's label order.
        decisions: whether each score reaches its operating threshold, bool [texts, labels]; False for texts
            of low confidence.
        tokens: tokens read per text, int32 [texts].
        low_confidence: whether the vocabulary lacks most of a text, bool [texts].
    """

    scores: Float32Array
    decisions: NDArray[np.bool_]
    tokens: Int32Array
    low_confidence: NDArray[np.bool_]


def highest(scores: Float32Array, texts: Sequence[WindowedText]) -> Float32Array:
    """Return each text's scores: per label, the highest over its windows.

    Calibration is monotone, so it makes no difference whether it comes before or after.

    Args:
        scores: of all texts' windows, one text after the other, float32 [windows, labels].
        texts: with their windows.

    Returns:
        float32 [texts, labels].
    """
    if not texts:
        return scores[:0]
    starts = np.cumsum([0, *(len(text.windows) for text in texts[:-1])])
    return np.maximum.reduceat(scores, starts)


def decide(
    scores: Float32Array,
    languages: Sequence[str | None],
    contract: Contract,
    *,
    low_confidence: Sequence[bool] | NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Return whether each calibrated score reaches the threshold of its label and language.

    Args:
        scores: calibrated, float32 [texts, labels].
        languages: ISO 639-1 code per text; None or empty if it isn't known.
        contract: has the thresholds.
        low_confidence: texts that get no decision, bool [texts].
    """
    thresholds = {
        language: [contract.threshold(label, language) for label in contract.labels]
        for language in set(languages)
    }
    rows = [thresholds[language] for language in languages]
    reached = scores >= np.array(rows, dtype=np.float32).reshape(scores.shape)
    decided: NDArray[np.bool_] = reached & ~np.asarray(low_confidence, dtype=bool)[:, np.newaxis]
    return decided


def score_raw(
    texts: Sequence[str],
    *,
    tokenizer: Tokeniser,
    whole: Infer,
    streams: Sequence[Infer] = (),
    labels: int,
    options: ScoringOptions,
    progress: Progress | None = None,
) -> RawScores:
    """Score texts without calibration, in batches of similar length.

    Args:
        texts: in any order and number.
        tokenizer: the model's.
        whole: computes a batch by itself.
        streams: used at the same time, one batch each, if there are several; none if `whole` computes all.
        labels: how many scores a text gets.
        options: how texts are read.
        progress: called after each batch.
    """
    read = tokenizer.encode_windows(texts, most=options.max_windows)
    rows = [window for text in read for window in text.windows]
    lengths = np.array([len(row) for row in rows], dtype=np.int32)
    # The longest rows come first: they are fewest per batch, so that the last batches end together.
    groups = list(length_groups(lengths, batch_tokens=options.batch_tokens))[::-1]
    executables = streams if len(groups) > 1 and streams else (whole,)
    infer = any_of(executables)

    def compute(group: NDArray[np.intp]) -> Float32Array:
        return infer(pad_to_step([rows[index] for index in group], pad_id=tokenizer.pad_id))

    by_window = np.zeros((len(rows), labels), dtype=np.float32)
    done = np.zeros(len(rows), dtype=bool)
    with ThreadPoolExecutor(len(executables)) as threads:
        computed = threads.map(compute, groups) if len(executables) > 1 else map(compute, groups)
        for group, scores in zip(groups, computed, strict=True):
            by_window[group], done[group] = scores, True
            if progress is not None:
                progress(int(done.sum()), len(rows), float(lengths[done].sum() / lengths.sum()))
    return RawScores(
        scores=highest(by_window, read),
        tokens=np.array([text.tokens for text in read], dtype=np.int32),
        low_confidence=np.array([text.low_confidence for text in read], dtype=bool),
    )


def read_scores(raw: RawScores, languages: Sequence[str | None], contract: Contract) -> Scores:
    """Calibrate raw scores and decide on them."""
    scores = calibrate(raw.scores, languages=languages, contract=contract)
    decisions = decide(scores, languages, contract, low_confidence=raw.low_confidence)
    return Scores(scores, decisions, tokens=raw.tokens, low_confidence=raw.low_confidence)
