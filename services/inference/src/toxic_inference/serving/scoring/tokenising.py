"""From texts to rows of model input, and from the rows' scores back to the texts'."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from toxic_core.tokens import Tokeniser, WindowedText
from toxic_inference.serving.interfaces import RawScore, Row
from toxic_inference.serving.scoring.cache import ScoreCache
from toxic_model.loaded import Float32Array
from toxic_model.scoring import highest


@dataclass(frozen=True, slots=True)
class Tokenised:
    """Some texts: cached scores of the known ones, token ids of the others.

    Attributes:
        known: each text's cached score, in the caller's order; None if it must be computed.
        unknown: the windows of the texts without a cached score.
        digests: each text's key in the cache; empty without a cache.
    """

    known: tuple[RawScore | None, ...]
    unknown: tuple[WindowedText, ...]
    digests: tuple[bytes, ...]

    @property
    def rows(self) -> list[Row]:
        """The rows to compute, window by window."""
        return [Row(ids=window) for text in self.unknown for window in text.windows]


def tokenise(
    texts: Sequence[str], *, tokenizer: Tokeniser, windows: int, cache: ScoreCache | None
) -> Tokenised:
    """Look texts up in the cache, and tokenise the others. Blocks for a while.

    Args:
        texts: as their caller sent them.
        tokenizer: the version's.
        windows: most windows of one text.
        cache: the version's; None if the caller doesn't want it used.
    """
    normalised = [tokenizer.normalise(text) for text in texts]
    digests = tuple(map(cache.digest, normalised)) if cache is not None else ()
    found = cache.find(digests) if cache is not None else {}
    known = tuple(found.get(digest) for digest in digests) or (None,) * len(texts)
    missing = [text for text, score in zip(normalised, known, strict=True) if score is None]
    unknown = tokenizer.encode_normalised(missing, most=windows) if missing else ()
    return Tokenised(known=known, unknown=tuple(unknown), digests=digests)


def joined(parts: Sequence[Tokenised]) -> Tokenised:
    """Return consecutive texts that were tokenised in parts."""
    return Tokenised(
        known=tuple(chain.from_iterable(part.known for part in parts)),
        unknown=tuple(chain.from_iterable(part.unknown for part in parts)),
        digests=tuple(chain.from_iterable(part.digests for part in parts)),
    )


def complete(tokenised: Tokenised, scores: Float32Array) -> list[RawScore]:
    """Return every text's score, in the caller's order.

    Args:
        tokenised: the texts.
        scores: of its `rows`, float32 [rows, labels].
    """
    computed = iter(summarise(tokenised.unknown, scores))
    return [next(computed) if score is None else score for score in tokenised.known]


def summarise(texts: Sequence[WindowedText], scores: Float32Array) -> list[RawScore]:
    """Return each text's score from those of its windows, float32 [windows of all texts, labels]."""
    return [
        # A copy, so that a cached score doesn't keep the whole array in memory.
        RawScore(
            scores=row.copy(),
            tokens=text.tokens,
            windows=len(text.windows),
            truncated=text.truncated,
            low_confidence=text.low_confidence,
        )
        for text, row in zip(texts, highest(scores, texts), strict=True)
    ]
