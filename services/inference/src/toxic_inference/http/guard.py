"""Who may pass: API keys, their rate, and what only operators may.

Invariant: pure ASGI, before anything reads the body; with keys, every path asks for one but those named here,
and a path that isn't known asks too, so that a new route is guarded unless somebody says otherwise.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from urllib.parse import parse_qs

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from toxic_core.errors import OverloadedError
from toxic_inference.http.error_shapes import render_problem
from toxic_inference.http.errors import ForbiddenError, UnauthenticatedError, problem_of
from toxic_inference.keys import ApiKey, KeyRing, Role

_OPEN_PATHS = frozenset({"/", "/docs", "/openapi.json", "/metrics", "/events", "/v2", "/$discovery/rest"})
_OPEN_PREFIXES = ("/assets/", "/health/", "/v2/health/")
"""Pages without data, and what operators' own tools ask; `/events` has signatures instead."""

_KEY_HEADERS = ("x-api-key", "x-goog-api-key")
_BEARER = "bearer "


@dataclass(frozen=True, slots=True)
class GuardRules:
    """What the guard keeps.

    Attributes:
        keys: knows the keys; None where nobody is asked for one.
        requests_per_minute: of each key; None for any number.
        trusted: whether whoever reaches the port without keys may do what operators may.
        now: seconds on a monotonic clock.
    """

    keys: KeyRing | None = None
    requests_per_minute: int | None = None
    trusted: bool = True
    now: Callable[[], float] = field(default=lambda: 0.0)


class RateLimitedError(OverloadedError):
    """A key that asked too often."""


class Guard:
    """Lets requests pass or answers them."""

    def __init__(self, app: ASGIApp, *, rules: GuardRules) -> None:
        self._app = app
        self._rules = rules
        self._buckets: dict[str, _Bucket] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http" and scope["method"] != "OPTIONS":
            try:
                self._check(scope)
            except (UnauthenticatedError, ForbiddenError, RateLimitedError) as error:
                await render_problem(problem_of(error), path=scope["path"])(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        path = scope["path"]
        if path in _OPEN_PATHS or path.startswith(_OPEN_PREFIXES):
            return
        for_operators = _is_for_operators(path, scope["method"])
        if self._rules.keys is None:
            if for_operators and not self._rules.trusted:
                raise ForbiddenError(
                    "A service that others can reach shows and deletes corrections for API keys only: "
                    "toxic-inference keys add NAME --role operator makes one."
                )
            return
        key = self._find(self._rules.keys, scope)
        if for_operators and key.role is not Role.OPERATOR:
            raise ForbiddenError(f"The key {key.name!r} isn't an operator's.")
        self._take(key)
        structlog.contextvars.bind_contextvars(client=key.name)

    def _find(self, keys: KeyRing, scope: Scope) -> ApiKey:
        presented = _presented(scope)
        if presented is None:
            raise UnauthenticatedError(
                "This service asks for an API key; send it as Authorization: Bearer KEY, X-API-Key or ?key=."
            )
        key = keys.find(presented)
        if key is None:
            raise UnauthenticatedError("API key not valid. Please pass a valid API key.")
        return key

    def _take(self, key: ApiKey) -> None:
        rate = self._rules.requests_per_minute
        if rate is None:
            return
        bucket = self._buckets.setdefault(key.name, _Bucket(rate, self._rules.now()))
        wait = bucket.take(rate, self._rules.now())
        if wait > 0:
            raise RateLimitedError(
                f"The key {key.name!r} may ask {rate:,} times a minute; wait {ceil(wait)} s.",
                retry_after_seconds=ceil(wait),
            )


@dataclass(slots=True)
class _Bucket:
    """A token bucket: a minute's requests at once, then as they are earned."""

    tokens: float
    filled: float

    def take(self, rate: int, now: float) -> float:
        """Take a token; return 0, or how many seconds are missing to one."""
        self.tokens = min(self.tokens + (now - self.filled) * rate / 60, rate)
        self.filled = now
        if self.tokens < 1:
            return (1 - self.tokens) * 60 / rate
        self.tokens -= 1
        return 0.0


def _is_for_operators(path: str, method: str) -> bool:
    return (path == "/feedback" and method != "POST") or path.startswith("/feedback/")


def _presented(scope: Scope) -> str | None:
    headers = Headers(scope=scope)
    authorization = headers.get("authorization", "")
    if authorization.lower().startswith(_BEARER):
        return authorization[len(_BEARER) :].strip()
    for name in _KEY_HEADERS:
        if name in headers:
            return headers[name]
    return next(iter(parse_qs(scope["query_string"].decode("latin-1")).get("key", ())), None)
