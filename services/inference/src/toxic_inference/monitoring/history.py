"""Past counts, for sliding windows.

Invariant: memory is bounded: one copy a bucket of time in which something came, and none older than the
longest window. A window reaches back to the beginning of a bucket: it is short by up to one bucket.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from toxic_inference.monitoring.estimate import Floats

BUCKET_SECONDS: Final = 300.0


class Window(StrEnum):
    """How far back figures look."""

    HOUR = "1h"
    DAY = "24h"

    @property
    def buckets(self) -> int:
        """How many buckets of time it spans."""
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
        """Copy the counts before the first text of a new bucket."""
        bucket = int(now // BUCKET_SECONDS)
        if self._moments and self._moments[-1].bucket >= bucket:
            return
        self._moments.append(_Moment(bucket, flat.copy()))
        while self._moments[0].bucket <= bucket - Window.DAY.buckets:
            self._moments.popleft()

    def since(self, flat: Floats, window: Window, *, now: float) -> Floats:
        """Return the counts within a window, given the present counts."""
        first = int(now // BUCKET_SECONDS) - window.buckets + 1
        before = next((moment.flat for moment in self._moments if moment.bucket >= first), flat)
        return flat - before
