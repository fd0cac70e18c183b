"""What the service reports about itself: one frozen dataclass per event, one `emit` for all.

Invariant: whoever emits does so after the fact, on the event loop's thread. `emit` returns at once and never
raises. No event contains a text.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from toxic_core.contract import Contract
from toxic_inference.serving.versions.states import State


class Event:
    """Something that happened. Subclasses are frozen and slotted."""

    __slots__ = ()


Emit = Callable[[Event], None]
"""Receives every event."""


def ignore(event: Event) -> None:
    """Do nothing with an event; what `emit` is when metrics are off."""


# HTTP


@dataclass(frozen=True, slots=True)
class RouteDeclared(Event):
    """The service will answer `method` at a route's template; `scores` if the route scores texts."""

    door: str
    route: str
    method: str
    scores: bool


@dataclass(frozen=True, slots=True)
class RequestStarted(Event):
    """A request arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestEnded(Event):
    """A request was answered, or its client left.

    Attributes:
        door: the name of the door that the path belongs to, or `none`.
        route: the route's template, or `unmatched`.
        scores: `yes` if the route scores texts, else `no`.
        method: the HTTP method, or `OTHER`.
        status: the HTTP status; 499 if the client left first.
        seconds: from the request's arrival to the end of its answer.
    """

    door: str
    route: str
    scores: str
    method: str
    status: int
    seconds: float


@dataclass(frozen=True, slots=True)
class RequestRefused(Event):
    """Admission control refused a request before reading it."""


@dataclass(frozen=True, slots=True)
class RowRejected(Event):
    """A row of a CSV or NDJSON file can't be scored; `reason` is the problem's code."""

    reason: str


@dataclass(frozen=True, slots=True)
class AttributeUnsupported(Event):
    """A client asked the Perspective API for an attribute that no label answers, without its version."""

    attribute: str


@dataclass(frozen=True, slots=True)
class PoliciesRead(Event):
    """The file of policies was read, and has these."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PolicyApplied(Event):
    """A text was decided by a community's policy.

    Attributes:
        policy: its name.
        decided_by: `model` or `list`.
        said: whether it was flagged, `yes` or `no`.
    """

    policy: str
    decided_by: str
    said: str


@dataclass(frozen=True, slots=True)
class RegistryMessageReceived(Event):
    """The registry sent a message; `outcome` is a value of `WebhookOutcome`."""

    outcome: str


# Corrections and jobs


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


# Batching


@dataclass(frozen=True, slots=True)
class QueueChanged(Event):
    """So many rows more (or, if negative, fewer) are waiting."""

    rows: int


@dataclass(frozen=True, slots=True)
class TracedRows:
    """The rows of one traced request in a batch.

    Attributes:
        trace: the value of `TRACE` at their submission.
        rows: how many they are.
        waited_seconds: from their submission to the batch's start.
        seconds: from their submission to the batch's end.
    """

    trace: object
    rows: int
    waited_seconds: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRan(Event):
    """The model computed a batch of callers' rows.

    `tokens` are without padding; `padded_tokens` are rows times the batch's length. The oldest row's wait is
    from its submission to the batch's start. `traced` has the rows of traced requests.
    """

    version: str
    rows: int
    tokens: int
    padded_tokens: int
    compute_seconds: float
    longest_wait_seconds: float
    traced: Sequence[TracedRows] = ()

    @property
    def padding_tokens(self) -> int:
        """Tokens of padding."""
        return self.padded_tokens - self.tokens


@dataclass(frozen=True, slots=True)
class ShapesCompiled(Event):
    """An executable compiled kernels for so many new shapes of batches."""

    shapes: int


@dataclass(frozen=True, slots=True)
class RowsRefused(Event):
    """So many rows were refused because the queue is full."""

    rows: int


@dataclass(frozen=True, slots=True)
class RowsDeparted(Event):
    """So many waiting rows were dropped because their caller left."""

    rows: int


@dataclass(frozen=True, slots=True)
class RowsExpired(Event):
    """So many waiting rows were dropped because their deadline passed."""

    rows: int


# Scoring


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


# Versions


class LoadFailure(StrEnum):
    """Why a version couldn't be loaded."""

    DIGEST = "digest"
    NOT_APPROVED = "not_approved"
    CONTRACT = "contract"
    SIGNATURE = "signature"
    WARMUP = "warmup"
    REGISTRY = "registry"
    DISK = "disk"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class StateChanged(Event):
    """A version moved to `state`; None if it was forgotten."""

    version: str
    state: State | None


@dataclass(frozen=True, slots=True)
class VersionAvailable(Event):
    """A version is about to become available; `runtime` includes the precision, such as `openvino-int8`.

    `approved` is whether the ledger approves its content; None if no approval is needed. `rates` are the
    tokens per second that were measured, by precision.
    """

    version: str
    contract: Contract
    runtime: str
    approved: bool | None = None
    rates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LoadSucceeded(Event):
    """A version became available after so many seconds of loading."""

    seconds: float


@dataclass(frozen=True, slots=True)
class LoadFailed(Event):
    """A version couldn't be loaded."""

    reason: LoadFailure


@dataclass(frozen=True, slots=True)
class AliasRouted(Event):
    """An alias now routes to `version`, or nowhere."""

    alias: str
    version: str | None


@dataclass(frozen=True, slots=True)
class SourcePolled(Event):
    """A poll of the source ended; `answered` is False if the source failed."""

    answered: bool
