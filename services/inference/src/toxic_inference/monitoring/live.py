"""Live quality: the versions' quality on the comments that moderators corrected, and how their review stands.

Moderators judge the comments that they are shown, which are mostly flagged ones, so these figures don't
describe the whole traffic. Use them to compare versions and times; only precision has its usual meaning.

Invariant: only the latest corrections count, up to the limit; texts are never read.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import structlog
from numpy.typing import NDArray

from toxic_core.contract import Contract
from toxic_core.errors import ToxicError
from toxic_core.labels import LabelName
from toxic_inference.corrections.record import Judged
from toxic_inference.corrections.review_store import ReviewStanding
from toxic_inference.events import Emit, Event
from toxic_inference.serving.clock import Clock

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LiveQuality:
    """A version's quality on one label.

    Attributes:
        version: the version.
        label: the label.
        yes: texts judged to carry it.
        no: texts judged not to.
        auc: how often one of the first has the higher score; None if there are too few, or none of one kind.
        precision: share of flagged texts that carry it; None if too few are flagged.
        disagreement: share of texts that moderators decide differently; None if there are too few.
    """

    version: str
    label: LabelName
    yes: int
    no: int
    auc: float | None
    precision: float | None
    disagreement: float | None


@dataclass(frozen=True, slots=True)
class LiveQualityRead(Event):
    """Corrections were read.

    Attributes:
        figures: the quality of every version and label that was judged.
        at: when, in seconds since 1970.
    """

    figures: Sequence[LiveQuality]
    at: float


@dataclass(frozen=True, slots=True)
class ReviewRead(Event):
    """The review was read: how it stands, and when, in seconds since 1970."""

    standing: ReviewStanding
    at: float


def live_quality(
    judged: Sequence[Judged], contracts: Mapping[str, Contract], *, at_least: int
) -> Iterator[LiveQuality]:
    """Yield the quality of every version and label with a judgement.

    Args:
        judged: corrections.
        contracts: of the served versions; their thresholds decide what was flagged.
        at_least: fewest texts for a figure.
    """
    for version, contract in contracts.items():
        mine = [each for each in judged if each.version == version]
        for label in contract.labels:
            rows = [each for each in mine if label in each.labels and label in each.scores]
            if not rows:
                continue
            truth = np.array([row.labels[label] for row in rows])
            scores = np.array([row.scores[label] for row in rows])
            flagged = scores >= np.array([contract.threshold(label, row.language) for row in rows])
            enough = len(rows) >= at_least
            yield LiveQuality(
                version=version,
                label=label,
                yes=int(truth.sum()),
                no=int((~truth).sum()),
                auc=_auc(truth, scores) if enough else None,
                precision=float(truth[flagged].mean()) if flagged.sum() >= at_least else None,
                disagreement=float((truth != flagged).mean()) if enough else None,
            )


def _auc(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> float | None:
    """Return the area under the ROC curve by mean ranks (Mann and Whitney, 1947); ties count half."""
    positives, negatives = scores[truth], np.sort(scores[~truth])
    if not positives.size or not negatives.size:
        return None
    below = np.searchsorted(negatives, positives, side="left")
    up_to = np.searchsorted(negatives, positives, side="right")
    return float((below + up_to).mean() / 2 / negatives.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveWatch:
    """Reads the latest corrections, and how the review stands, at an interval, off the event loop.

    Attributes:
        read_judged: returns the latest corrections that have a version and a score, at most so many. Blocks.
        read_review: returns how the review stands. Blocks.
        contracts: of the versions that are served, asked anew each time.
        clock: for the wait between two readings.
        time: seconds since 1970.
        emit: receives every reading.
        interval_seconds: between two readings.
        limit: most corrections to read.
        at_least: fewest texts for a figure.
    """

    read_judged: Callable[[int], Sequence[Judged]]
    read_review: Callable[[], ReviewStanding]
    contracts: Callable[[], Mapping[str, Contract]]
    clock: Clock
    time: Callable[[], float]
    emit: Emit
    interval_seconds: float
    limit: int
    at_least: int

    async def run(self) -> None:
        """Read at an interval, until cancelled."""
        while True:
            await self.read()
            await self.clock.wait(asyncio.Event(), at_most_seconds=self.interval_seconds)

    async def read(self) -> None:
        """Read once. If the store can't be reached, the figures stay, and so does the time of the reading."""
        contracts = dict(self.contracts())
        try:
            judged = await asyncio.to_thread(self.read_judged, self.limit)
            figures = await asyncio.to_thread(
                lambda: list(live_quality(judged, contracts, at_least=self.at_least))
            )
            standing = await asyncio.to_thread(self.read_review)
        except ToxicError as error:
            _log.warning("feedback.unreadable", error=str(error))
            return
        self.emit(LiveQualityRead(figures, at=self.time()))
        self.emit(ReviewRead(standing, at=self.time()))
