"""Snapshots of counts, for sliding windows.

A window starts at the beginning of a bucket of time, so it is short by up to one bucket.

Invariant: memory is bounded: one snapshot per bucket with traffic, and none older than the longest window.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

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

    @property
    def seconds(self) -> float:
        """The length."""
        return self.buckets * BUCKET_SECONDS


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

    def save(self, flat: Floats) -> "SavedHistory":
        """Return the past, to go on with in another process."""
        counts = [flat - moment.flat for moment in self._moments]
        return SavedHistory(
            np.array([moment.bucket for moment in self._moments], dtype=np.int64),
            np.array(counts) if counts else np.zeros((0, flat.size)),
        )

    def restore(self, saved: "SavedHistory") -> None:
        """Go on with the past of another process, before the first snapshot; the current counts are 0."""
        for bucket, counts in zip(saved.buckets.tolist(), saved.counts, strict=True):
            self._moments.append(_Moment(bucket, -counts))


@dataclass(frozen=True, slots=True)
class SavedHistory:
    """The past of one flat array.

    Attributes:
        buckets: of each snapshot, int [snapshots], ascending.
        counts: from each snapshot until it was saved, float [snapshots, counts].
    """

    buckets: NDArray[np.int64]
    counts: Floats
