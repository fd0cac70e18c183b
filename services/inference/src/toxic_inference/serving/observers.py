"""What the serving core reports of itself, for metrics.

Invariant: observers are told after the fact, on the event loop's thread; they return at once and never raise.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from toxic_core.labels import Label
from toxic_inference.serving.states import State


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What one batch was, for the metrics.

    Attributes:
        rows: callers' rows in it.
        tokens: real tokens.
        padded_tokens: rows times the batch's length.
        compute_seconds: time in the model.
        longest_wait_seconds: of its oldest row, from submission to the start.
    """

    rows: int
    tokens: int
    padded_tokens: int
    compute_seconds: float
    longest_wait_seconds: float


class BatchObserver(Protocol):
    """Told what a scheduler does."""

    def queue_changed(self, *, rows: int) -> None:
        """So many rows more (or, negative, fewer) are waiting."""
        ...

    def batch_ran(self, report: BatchReport) -> None:
        """A batch came back from the model."""
        ...

    def refused(self, *, rows: int) -> None:
        """So many rows were refused because the queue is full."""
        ...

    def departed(self, *, rows: int) -> None:
        """So many waiting rows were dropped because their caller left."""
        ...

    def expired(self, *, rows: int) -> None:
        """So many waiting rows were dropped because their deadline had passed."""
        ...


class ManagerObserver(Protocol):
    """Told what the manager does."""

    def state_changed(self, *, version: str, state: State | None) -> None:
        """A version moved to `state`; None where it is forgotten."""
        ...

    def load_succeeded(self, *, seconds: float) -> None:
        """A version became available."""
        ...

    def load_failed(self, error: Exception) -> None:
        """A version couldn't be loaded."""
        ...

    def routed(self, *, alias: str, version: str | None) -> None:
        """An alias now routes to `version`, or nowhere."""
        ...


class PollObserver(Protocol):
    """Told how polling goes."""

    def polled(self, *, answered: bool) -> None:
        """A poll ended; `answered` says whether the source did."""
        ...


class ScoringObserver(Protocol):
    """Told what scoring costs."""

    def tokenised(self, *, texts: int, truncated: int, windows: int, seconds: float) -> None:
        """So many texts became tokens, in so many windows; `truncated` of them were longer than that."""
        ...

    def looked_up(self, *, hits: int, misses: int) -> None:
        """So many texts were answered from the cache, and so many weren't."""
        ...


class ShadowDrop(StrEnum):
    """Why a sampled text wasn't compared."""

    LOAD = "load"
    NO_CHALLENGER = "no_challenger"
    SAME_VERSION = "same_version"
    FAILED = "failed"


class ShadowObserver(Protocol):
    """Told how the challenger compares."""

    def shadow_compared(self, label: Label, *, difference: float, disagrees: bool) -> None:
        """One label of one text was scored by both; `disagrees` says whether they decide otherwise."""
        ...

    def shadow_dropped(self, *, reason: ShadowDrop) -> None:
        """A sampled text wasn't compared."""
        ...
