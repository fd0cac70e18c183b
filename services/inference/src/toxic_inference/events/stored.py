"""Events of what the service keeps: corrections, the review and jobs."""

from dataclasses import dataclass
from enum import StrEnum

from toxic_inference.events.base import Event


@dataclass(frozen=True, slots=True)
class CorrectionKept(Event):
    """A correction was stored for the first time; `source` is the door that it came through."""

    source: str


@dataclass(frozen=True, slots=True)
class LabelJudged(Event):
    """A stored correction judges one label; `said` is `yes` or `no`."""

    label: str
    said: str


class ReviewReason(StrEnum):
    """Why a text is to be reviewed, the most urgent first."""

    CONTRADICTION = "contradiction"
    """Corrections contradict each other."""
    SHADOW = "shadow"
    """Champion and challenger decide differently."""
    UNCERTAIN = "uncertain"
    """A score is near its threshold."""


class OpinionOutcome(StrEnum):
    """What became of a text by an opinion."""

    WAITING = "waiting"
    """Another opinion is needed."""
    DISPUTED = "disputed"
    """The opinions differ, so a third one is needed."""
    DECIDED = "decided"


@dataclass(frozen=True, slots=True)
class ReviewKept(Event):
    """A text was stored for the review."""

    reason: ReviewReason


@dataclass(frozen=True, slots=True)
class ReviewDropped(Event):
    """A text for the review was dropped: too many waited, or the store can't be reached."""


@dataclass(frozen=True, slots=True)
class OpinionGiven(Event):
    """A reviewer judged a text."""

    outcome: OpinionOutcome


@dataclass(frozen=True, slots=True)
class JobEnded(Event):
    """A job is over; `outcome` is `done`, `failed` or `deleted`."""

    outcome: str


@dataclass(frozen=True, slots=True)
class JobsChanged(Event):
    """So many jobs now wait or run."""

    waiting: int
