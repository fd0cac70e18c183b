"""Admission control, the outermost layer: refuses scoring requests that could not be answered in time.

A request costs the event loop: it is read, routed and checked there. If requests come faster than that, they
wait before they reach the model's queue, unseen and without limit. So the concurrent requests are limited to
what the loop can complete in the longest acceptable wait (Little, 1961: number = rate * time), by the cost
that requests had lately. And a request that the queue would refuse is not read first: reading it takes the
model's processors.

A request is counted once its body is there, so that silent connections take no places. A caller that is
within its share of the limit is admitted although others exceed theirs.

Invariant: a refused request was not routed, and costs a small part of an answer; only scoring is refused,
never health, metrics, pages or files.
"""

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from toxic_core.errors import OverloadedError
from toxic_inference.events import Emit, RequestRefused
from toxic_inference.http.door import Doors
from toxic_inference.http.errors import problem_of
from toxic_inference.http.guard import FindKey, caller_in, peek_caller
from toxic_inference.http.terms import BULK, names_version

Seconds = Callable[[], float]
Overload = Callable[[str | None], OverloadedError | None]
"""Returns why the default version would refuse a text of a caller now, or None; see `BatchScheduler`."""

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
        self._under_way: Counter[str] = Counter()
        self._total = 0
        self._served = 0
        self._cpu_began = self._now_began = 0.0

    @property
    def requests(self) -> float:
        """The limit; infinite until the cost of a request is known."""
        return max(self._seconds / self._cost, LEAST_REQUESTS) if self._cost else math.inf

    def has_room(self, caller: str | None) -> bool:
        """Return whether a caller's request would be admitted; for None, whether everybody's would."""
        if self._total < self.requests:
            return True
        if caller is None or caller not in self._under_way:
            return caller is not None
        return self._under_way[caller] < self.requests // len(self._under_way)

    def enter(self, caller: str = "") -> bool:
        """Count a request in; return False if the limit is reached."""
        if not self.has_room(caller):
            return False
        self._under_way[caller] += 1
        self._total += 1
        return True

    def leave(self, caller: str = "") -> None:
        """Count a request out; measure the cost of one over each group of them."""
        self._under_way[caller] -= 1
        self._total -= 1
        if not self._under_way[caller]:
            del self._under_way[caller]
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
        find_key: returns the key that a caller presented, or None; None if there are no keys.
    """

    limit: RequestLimit
    overload: Overload
    find_key: FindKey | None = None


class Admission:
    """Middleware that refuses scoring requests, in their door's error shape, while there is no capacity."""

    def __init__(self, app: ASGIApp, *, doors: Doors, rules: AdmissionRules, emit: Emit) -> None:
        self._app = app
        self._doors = doors
        self._scoring = doors.scoring_prefixes
        self._limit = rules.limit
        self._overload = rules.overload
        self._find_key = rules.find_key
        self._emit = emit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        path = scope.get("path", "")
        scoring = scope["type"] == "http" and scope["method"] == "POST" and path.startswith(self._scoring)
        # Files and batches wait for capacity instead, and may take minutes.
        if not scoring or BULK in scope or self._doors.reads_file(scope):
            await self._app(scope, receive, send)
            return
        # Another version than the default one has another queue.
        queued = not names_version(path)
        error = None
        if (queued and self._overload(None)) or not self._limit.has_room(None):
            caller = peek_caller(scope, self._find_key)
            error = (self._overload(caller) if queued else None) or self._behind(caller)
        if error is not None:
            self._emit(RequestRefused())
            await self._doors.render(problem_of(error), path=path)(scope, receive, send)
            return
        entered: str | None = None

        async def receiving() -> Message:
            nonlocal entered
            message = await receive()
            if entered is None and message["type"] == "http.request" and not message.get("more_body", False):
                caller = caller_in(scope)
                if not self._limit.enter(caller):
                    self._emit(RequestRefused())
                    raise _behind()
                entered = caller
            return message

        try:
            await self._app(scope, receiving, send)
        finally:
            if entered is not None:
                self._limit.leave(entered)

    def _behind(self, caller: str) -> OverloadedError | None:
        return None if self._limit.has_room(caller) else _behind()


def _behind() -> OverloadedError:
    return OverloadedError(
        "More requests are in progress than can be answered in time; ask again later.",
        retry_after_seconds=_RETRY_SECONDS,
    )
