"""Snapshots of counts, for sliding windows.

A window starts at the beginning of a bucket of time, so it is short by up to one bucket.

Invariant: memory is bounded: one snapshot per bucket with traffic, and none older than the longest window.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from toxic_inference.monitoring.estimate import Floats

BUCKET_SECONDS: Final = 300.0


class Window(StrEnum):
    """The time span of figures."""

    HOUR = "1h"
    DAY = "24h"

    @property
    def buckets(self) -> int:
        """The number of buckets."""
        return {Window.HOUR: 12, Window.DAY: 288}[self]


@dataclass(frozen=True, slots=True)
class _Moment:
    bucket: int
    flat: Floats


class History:
    """The past of one flat array of growing counts."""

    def __init__(self) -> None:
        self._moments: deque[_Moment] = deque()

    def __len__(self) -> int:
        return len(self._moments)

    def mark(self, flat: Floats, *, now: float) -> None:
        """Keep a snapshot before the first text of a new bucket."""
        bucket = int(now // BUCKET_SECONDS)
        if self._moments and self._moments[-1].bucket >= bucket:
            return
        self._moments.append(_Moment(bucket, flat.copy()))
        while self._moments[0].bucket <= bucket - Window.DAY.buckets:
            self._moments.popleft()

    def since(self, flat: Floats, window: Window, *, now: float) -> Floats:
        """Return the counts of a window that ends now, from the current counts."""
        first = int(now // BUCKET_SECONDS) - window.buckets + 1
        before = next((moment.flat for moment in self._moments if moment.bucket >= first), flat)
        return flat - before
