"""Events of requests: their start and end, what was refused, and what a policy decided."""

from dataclasses import dataclass

from toxic_inference.events.base import Event


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
