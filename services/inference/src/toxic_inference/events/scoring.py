"""Events of texts on their way to scores, of sessions with a version, and of the shadow."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from toxic_inference.events.base import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class TextsTokenised(Event):
    """A request's texts became tokens; cached ones aren't counted.

    Attributes:
        tokens: of all windows.
        unknown: how many of these tokens aren't in the vocabulary.
        truncated: texts longer than the most windows.
        low_confidence: texts of which the vocabulary lacks most.
        seconds: time to look texts up in the cache and to tokenise the others.
    """

    version: str
    texts: int
    windows: int
    tokens: int
    unknown: int
    truncated: int
    low_confidence: int
    seconds: float


@dataclass(frozen=True, slots=True)
class CacheLookedUp(Event):
    """The score cache had so many of a request's texts (`hits`), and lacked the others."""

    version: str
    hits: int
    misses: int


@dataclass(frozen=True, slots=True)
class TextsScored(Event):
    """Texts got calibrated scores.

    Attributes:
        languages: of each text, declared by its caller or identified; None if neither.
        scores: calibrated, float32 [texts, labels].
        decisions: whether each score reaches its threshold, bool [texts, labels].
    """

    version: str
    languages: Sequence[str | None]
    scores: NDArray[np.float32]
    decisions: NDArray[np.bool_]
    tokens: Sequence[int]


@dataclass(frozen=True, slots=True)
class PolicyTextsScored(Event):
    """Texts were decided by a community's policy; `scored` has its decisions."""

    policy: str
    scored: TextsScored


class SessionOutcome(StrEnum):
    """How a session with a version ended."""

    ANSWERED = "answered"
    FAILED = "failed"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class SessionEnded(Event):
    """A version has served one request, or a part of one.

    `outcome` is failed if the model failed or a deadline passed; other if the request was refused, or its
    caller left.
    """

    version: str
    outcome: SessionOutcome


@dataclass(frozen=True, slots=True)
class SessionTimed(Event):
    """A version has served one interactive request, or a part of one, for so many seconds.

    A file takes as long as it is large, so it doesn't show how fast a version is.
    """

    version: str
    seconds: float


class ShadowDrop(StrEnum):
    """Why a sampled text wasn't compared."""

    LOAD = "load"
    NO_CHALLENGER = "no_challenger"
    SAME_VERSION = "same_version"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ShadowCompared(Event):
    """Champion and challenger scored one label of one text.

    `difference` is between the calibrated scores, from 0 to 1; `disagrees` is about the decisions.
    """

    label: str
    difference: float
    disagrees: bool


@dataclass(frozen=True, slots=True)
class ShadowDropped(Event):
    """A sampled text wasn't compared."""

    reason: ShadowDrop
