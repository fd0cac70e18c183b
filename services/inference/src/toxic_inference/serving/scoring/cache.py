"""The LRU cache of scores, one per version.

Keys are keyed digests of normalised texts. The key never leaves the process, so the cache reveals no text.

Invariant: no text is kept, and never more than `entries` scores; the least recently used one is dropped
first. Thread-safe.
"""

import secrets
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from threading import Lock

from toxic_inference.serving.interfaces import RawScore

_DIGEST_BYTES = 16

ENTRY_BYTES = 350
"""Approximate size of an entry: its digest, six scores, and Python's overhead for both (measured: 344)."""


class ScoreCache:
    """The scores of one version.

    Args:
        entries: most scores that are kept; 0 turns the cache off.
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
        """Whether it is on."""
        return self._limit > 0

    def digest(self, normalised: str) -> bytes:
        """Return the key of a text that is normalised by the version's normalisation."""
        return blake2b(normalised.encode(), key=self._key, digest_size=_DIGEST_BYTES).digest()

    def find(self, digests: Iterable[bytes]) -> dict[bytes, RawScore]:
        """Return the cached scores, by digest."""
        found: dict[bytes, RawScore] = {}
        with self._lock:
            for digest in digests:
                if (score := self._scores.get(digest)) is not None:
                    self._scores.move_to_end(digest)
                    found[digest] = score
        return found

    def keep(self, scores: Mapping[bytes, RawScore]) -> None:
        """Store scores, and drop the least recently used ones beyond the limit."""
        with self._lock:
            self._scores.update(scores)
            while len(self._scores) > self._limit:
                self._scores.popitem(last=False)
