"""Scores of texts that came before, for the next time they come.

Owns one version's scores, and goes with it. A text is known by a keyed digest of its normalised form, with a
key that never leaves the process, so that what is kept here tells nobody what was written.

Invariant: no text is kept, and never more than `entries` scores; the one unused longest goes first. Any
thread may call.
"""

import secrets
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from threading import Lock

from toxic_core.text import normalise
from toxic_inference.serving.interfaces import Float32Array

_DIGEST_BYTES = 16

ENTRY_BYTES = 350
"""What an entry takes, about: its digest, six scores, and Python's own for both (measured: 344)."""


@dataclass(frozen=True, slots=True)
class RawScore:
    """What the model said of one text.

    Attributes:
        scores: uncalibrated, float32 [labels]; the highest over the windows.
        tokens: how many were read.
        windows: in how many windows.
        truncated: whether the text goes on after the last one.
    """

    scores: Float32Array
    tokens: int
    windows: int
    truncated: bool


class ScoreCache:
    """The scores of one version.

    Args:
        entries: most scores that are kept; 0 keeps none.
    """

    def __init__(self, entries: int) -> None:
        self._limit = entries
        self._key = secrets.token_bytes(32)
        self._scores: OrderedDict[bytes, RawScore] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._scores)

    @property
    def keeps(self) -> bool:
        """Whether it keeps anything at all."""
        return self._limit > 0

    def digest(self, text: str) -> bytes:
        """Return what a text is known by; equal for texts that are equal once normalised."""
        return blake2b(normalise(text).encode(), key=self._key, digest_size=_DIGEST_BYTES).digest()

    def find(self, digests: Iterable[bytes]) -> dict[bytes, RawScore]:
        """Return the scores of those that are known."""
        found: dict[bytes, RawScore] = {}
        with self._lock:
            for digest in digests:
                if (score := self._scores.get(digest)) is not None:
                    self._scores.move_to_end(digest)
                    found[digest] = score
        return found

    def keep(self, scores: Mapping[bytes, RawScore]) -> None:
        """Remember scores, and forget those unused longest where there are too many."""
        with self._lock:
            self._scores.update(scores)
            while len(self._scores) > self._limit:
                self._scores.popitem(last=False)
