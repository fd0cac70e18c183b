"""How texts become rows of model input, and rows' scores become texts' again.

Invariant: a text's score is the highest over its windows, label by label; calibration is monotone, so it
makes no difference whether that is taken before or after.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from toxic_core.tokens import WindowedText
from toxic_inference.serving.interfaces import Encoder, Float32Array, Row
from toxic_inference.serving.scoring.cache import RawScore, ScoreCache


@dataclass(frozen=True, slots=True)
class Reading:
    """Some texts, as far as they could be read without the model.

    Attributes:
        known: each text's score, in the caller's order; None where the model has to be asked.
        unknown: the token ids of those.
        digests: what each text is known by in the cache; empty where the cache isn't used.
    """

    known: tuple[RawScore | None, ...]
    unknown: tuple[WindowedText, ...]
    digests: tuple[bytes, ...]

    @property
    def rows(self) -> list[Row]:
        """What the model has to be asked, window by window."""
        return [Row(ids=window) for text in self.unknown for window in text.windows]


def read(texts: Sequence[str], *, encoder: Encoder, windows: int, cache: ScoreCache | None) -> Reading:
    """Look texts up, and turn those that aren't known into token ids. Blocks for a while.

    Args:
        texts: as their caller sent them.
        encoder: the version's.
        windows: most windows of one text.
        cache: the version's; None where the caller doesn't want it used.
    """
    digests = tuple(cache.digest(text) for text in texts) if cache is not None else ()
    found = cache.find(digests) if cache is not None else {}
    known = tuple(found.get(digest) for digest in digests) or (None,) * len(texts)
    missing = [text for text, score in zip(texts, known, strict=True) if score is None]
    unknown = encoder.encode_windows(missing, most=windows) if missing else ()
    return Reading(known=known, unknown=tuple(unknown), digests=digests)


def complete(reading: Reading, scores: Float32Array) -> list[RawScore]:
    """Return every text's score, in the caller's order.

    Args:
        reading: what was read.
        scores: of its `rows`, float32 [rows, labels].
    """
    ends = accumulate(len(text.windows) for text in reading.unknown)
    answers = (
        summarise(text, scores[end - len(text.windows) : end])
        for text, end in zip(reading.unknown, ends, strict=True)
    )
    return [next(answers) if score is None else score for score in reading.known]


def summarise(text: WindowedText, scores: Float32Array) -> RawScore:
    """Return a text's score from those of its windows, float32 [windows, labels]."""
    return RawScore(
        scores=scores.max(axis=0),
        tokens=text.tokens,
        windows=len(text.windows),
        truncated=text.truncated,
    )
