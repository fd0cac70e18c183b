"""Whom the event loop has time for: the outermost layer.

A request costs the event loop: it is read, routed and checked there. Where requests come faster than that,
they wait before they reach the model's queue, unseen and without end. So the requests under way are held to
what the loop can work off in the time that a text may wait (Little, 1961: number = rate * time), by what one
has cost lately. And what the queue would refuse isn't read first: that takes the model's processors.

Invariant: what is refused was neither read nor routed, and costs a small part of an answer; only scoring is
refused, never health, metrics, pages or files.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from toxic_core.errors import OverloadedError
from toxic_inference.events import Emit, RequestRefused
from toxic_inference.http.error_shapes import render_problem
from toxic_inference.http.errors import problem_of

Seconds = Callable[[], float]

LEAST_REQUESTS = 8
"""Under way at least, however dear: fewer would leave the model without a batch to form."""

_GROUP = 32
"""Requests over which the cost of one is measured."""

_BUSY = 0.25
"""Share of the time that the loop must have worked for a group to count: else other work weighs too much."""

_WEIGHT = 0.3
"""Of the newest group in the running mean."""

_SCORING = ("/predict", "/v1alpha1/", "/v1/models/", "/v2/models/")
_FILES = (b"text/csv", b"application/x-ndjson", b"multipart/form-data")


Overload = Callable[[], OverloadedError | None]
"""Says why the version that answers by default would refuse a text now; None where it wouldn't."""


class RequestLimit:
    """How many requests may be under way. Used from the event loop's thread only.

    Args:
        seconds: that the last of them may have to wait.
        cpu: processor seconds of the calling thread.
        now: seconds on a monotonic clock.
    """

    def __init__(
        self, seconds: float, *, cpu: Seconds = time.thread_time, now: Seconds = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._cpu = cpu
        self._now = now
        self._cost = 0.0
        self._under_way = 0
        self._served = 0
        self._cpu_began = self._now_began = 0.0

    @property
    def requests(self) -> float:
        """How many may be; without end while nothing is known of their cost."""
        return max(self._seconds / self._cost, LEAST_REQUESTS) if self._cost else math.inf

    def enter(self) -> bool:
        """Count a request in, if there is room for it."""
        if self._under_way >= self.requests:
            return False
        self._under_way += 1
        return True

    def leave(self) -> None:
        """Count it out, and learn from it what one costs."""
        self._under_way -= 1
        if self._served == 0:
            self._cpu_began, self._now_began = self._cpu(), self._now()
        self._served += 1
        if self._served > _GROUP:
            self._learn()
            self._served = 0

    def _learn(self) -> None:
        cpu, elapsed = self._cpu() - self._cpu_began, self._now() - self._now_began
        if cpu < _BUSY * elapsed:
            return
        cost = cpu / _GROUP
        self._cost = cost if not self._cost else (1 - _WEIGHT) * self._cost + _WEIGHT * cost


@dataclass(frozen=True, slots=True)
class AdmissionRules:
    """Who is let in.

    Attributes:
        limit: of requests under way.
        overload: whether the model's queue has room.
    """

    limit: RequestLimit
    overload: Overload


class Admission:
    """Refuses requests to score, in their door's shape, while there is no room for more."""

    def __init__(
        self, app: ASGIApp, *, rules: AdmissionRules, retry_after_seconds: float, emit: Emit
    ) -> None:
        self._app = app
        self._limit = rules.limit
        self._overload = rules.overload
        self._emit = emit
        self._behind = OverloadedError(
            "More requests are under way than can be answered in time; ask again later.",
            retry_after_seconds=retry_after_seconds,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if not _is_scoring(scope):
            await self._app(scope, receive, send)
            return
        error = None if _names_version(scope["path"]) else self._overload()
        if error is None and not self._limit.enter():
            error = self._behind
        if error is not None:
            self._emit(RequestRefused())
            await render_problem(problem_of(error), path=scope["path"])(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._limit.leave()


def _names_version(path: str) -> bool:
    """Whether another version than the default may be meant, whose queue is another."""
    return "/versions/" in path or "/labels/" in path


def _is_scoring(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].startswith(_SCORING):
        return False
    # Files wait for room instead, and are under way for minutes.
    kind = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    return not kind.startswith(_FILES)
