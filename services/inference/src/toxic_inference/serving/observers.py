"""What the serving core reports of itself, for metrics.

Invariant: observers are told after the fact, on the event loop's thread; they return at once and never raise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from toxic_core.contract import Contract
from toxic_core.labels import Label
from toxic_inference.serving.versions.states import State


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


@dataclass(frozen=True, slots=True)
class ReadReport:
    """What it took to read one request's texts.

    Attributes:
        version: by whose tokenizer.
        texts: that became tokens; the cache knew the others.
        windows: that they were read in.
        tokens: of all windows.
        unknown: tokens of them that the vocabulary doesn't have.
        truncated: texts that go on after their last window.
        seconds: to look them up and read them.
    """

    version: str
    texts: int
    windows: int
    tokens: int
    unknown: int
    truncated: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ScoredTexts:
    """Texts that were given calibrated scores, without the texts.

    Attributes:
        version: that gave them.
        languages: each text's, as its caller says; None where it isn't known.
        scores: calibrated, float32 [texts, labels].
        decisions: whether each reaches its threshold, bool [texts, labels].
        tokens: how many were read of each text.
    """

    version: str
    languages: Sequence[str | None]
    scores: NDArray[np.float32]
    decisions: NDArray[np.bool_]
    tokens: Sequence[int]


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

    def available(self, *, version: str, contract: Contract, runtime: str) -> None:
        """A version is about to become available; this is what it says of itself, and what computes it."""
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

    def read(self, report: ReadReport) -> None:
        """A request's texts became tokens."""
        ...

    def looked_up(self, *, version: str, hits: int, misses: int) -> None:
        """So many texts were answered from the cache, and so many weren't."""
        ...

    def scored(self, report: ScoredTexts) -> None:
        """Texts have their scores."""
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
