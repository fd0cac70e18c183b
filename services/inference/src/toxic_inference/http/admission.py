"""Admission control, the outermost layer: refuses scoring requests that could not be answered in time.

A request costs the event loop: it is read, routed and checked there. If requests come faster than that, they
wait before they reach the model's queue, unseen and without limit. So the concurrent requests are limited to
what the loop can complete in the longest acceptable wait (Little, 1961: number = rate * time), by the cost
that requests had lately. And a request that the queue would refuse is not read first: reading it takes the
model's processors.

Invariant: a refused request was neither read nor routed, and costs a small part of an answer; only scoring is
refused, never health, metrics, pages or files.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from toxic_core.errors import OverloadedError
from toxic_inference.events import Emit, RequestRefused
from toxic_inference.http.door import FILE_TYPES, Doors
from toxic_inference.http.errors import problem_of
from toxic_inference.http.terms import BULK, names_version

Seconds = Callable[[], float]
Overload = Callable[[], OverloadedError | None]
"""Returns why the default version would refuse a text now, or None."""

LEAST_REQUESTS = 8
"""Lowest limit, however expensive requests are: with fewer, the model could not form a batch."""

_GROUP = 32
"""Requests over which the cost of one is measured."""

_BUSY = 0.25
"""Least share of the time that the loop must have worked for a group to count: else other work weighs too
much."""

_WEIGHT = 0.3
"""Weight of the newest group in the running mean."""

_RETRY_SECONDS = 1.0
"""Retry-After of a request that was refused because of the event loop."""

_FILES = tuple(name.encode() for name in FILE_TYPES)


class RequestLimit:
    """The limit of concurrent requests. Used from the event loop's thread only.

    Args:
        seconds: longest acceptable wait of the last request.
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
        """The limit; infinite until the cost of a request is known."""
        return max(self._seconds / self._cost, LEAST_REQUESTS) if self._cost else math.inf

    def enter(self) -> bool:
        """Count a request in; return False if the limit is reached."""
        if self._under_way >= self.requests:
            return False
        self._under_way += 1
        return True

    def leave(self) -> None:
        """Count a request out; measure the cost of one over each group of them."""
        self._under_way -= 1
        if self._served == 0:
            self._cpu_began, self._now_began = self._cpu(), self._now()
        self._served += 1
        if self._served <= _GROUP:
            return
        self._served = 0
        cpu, elapsed = self._cpu() - self._cpu_began, self._now() - self._now_began
        if cpu >= _BUSY * elapsed:
            cost = cpu / _GROUP
            self._cost = cost if not self._cost else (1 - _WEIGHT) * self._cost + _WEIGHT * cost


@dataclass(frozen=True, slots=True)
class AdmissionRules:
    """When requests are refused.

    Attributes:
        limit: the limit of concurrent requests.
        overload: whether the model's queue is full.
    """

    limit: RequestLimit
    overload: Overload


class Admission:
    """Middleware that refuses scoring requests, in their door's error shape, while there is no capacity."""

    def __init__(self, app: ASGIApp, *, doors: Doors, rules: AdmissionRules, emit: Emit) -> None:
        self._app = app
        self._doors = doors
        self._scoring = doors.scoring_prefixes
        self._limit = rules.limit
        self._overload = rules.overload
        self._emit = emit
        self._behind = OverloadedError(
            "More requests are in progress than can be answered in time; ask again later.",
            retry_after_seconds=_RETRY_SECONDS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        path = scope.get("path", "")
        scoring = scope["type"] == "http" and scope["method"] == "POST" and path.startswith(self._scoring)
        # Files and batches wait for capacity instead, and may take minutes.
        if (
            not scoring
            or BULK in scope
            or next((value for name, value in scope["headers"] if name == b"content-type"), b"").startswith(
                _FILES
            )
        ):
            await self._app(scope, receive, send)
            return
        # Another version than the default one has another queue.
        error = None if names_version(path) else self._overload()
        if error is None and not self._limit.enter():
            error = self._behind
        if error is not None:
            self._emit(RequestRefused())
            await self._doors.render(problem_of(error), path=path)(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._limit.leave()
