"""Host names, pages of other origins, API keys, their request rate, and operators' privileges.

Invariant: pure ASGI, before anything reads the body; with keys, every path requires one unless its operation
is declared open, and an unknown path requires one too.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from math import ceil
from urllib.parse import parse_qs

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from toxic_core.http.addresses import Addresses, ForeignRequestError
from toxic_inference.http.door import Access, Doors
from toxic_inference.http.errors import (
    ForbiddenError,
    RateLimitedError,
    UnauthenticatedError,
    UnknownKeyError,
    problem_of,
)
from toxic_inference.keys import ApiKey, Role

_KEY_HEADERS = ("x-api-key", "x-goog-api-key")
_BEARER = "bearer "
FindKey = Callable[[str], ApiKey | None]
_CALLER = "toxic_inference.caller"


def peek_caller(scope: Scope, find_key: FindKey | None) -> str:
    """Return `caller_in` of a request that wasn't checked yet."""
    if find_key is not None:
        with suppress(UnauthenticatedError):
            scope[_CALLER] = _find(find_key, scope).name
    return caller_in(scope)


def caller_in(scope: Scope) -> str:
    """Return who shares a budget: the name of the key, else the address of the peer."""
    name: str | None = scope.get(_CALLER)
    return name or (scope["client"][0] if scope.get("client") else "")


def caller_of(request: Request) -> str | None:
    """Return the name of the key that a request was made with; None if the service has no keys."""
    name: str | None = request.scope.get(_CALLER)
    return name


@dataclass(frozen=True, slots=True)
class GuardRules:
    """What the guard enforces.

    Attributes:
        find_key: returns the key that a caller presented, or None; does not block. None if there are no keys.
        requests_per_minute: limit per key; None for no limit.
        trusted: whether callers without keys have operators' privileges.
        now: seconds on a monotonic clock.
        buckets: each key's requests, for every application with these rules.
    """

    find_key: FindKey | None = None
    requests_per_minute: int | None = None
    trusted: bool = True
    now: Callable[[], float] = field(default=lambda: 0.0)
    buckets: "dict[str, _Bucket]" = field(default_factory=dict)


class Guard:
    """Middleware that passes or refuses requests by their host, their origin and their API key."""

    def __init__(self, app: ASGIApp, *, doors: Doors, rules: GuardRules, addresses: Addresses) -> None:
        self._app = app
        self._doors = doors
        self._rules = rules
        self._addresses = addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http" and scope["method"] != "OPTIONS":
            try:
                self._check(scope)
            except (UnauthenticatedError, ForbiddenError, ForeignRequestError, RateLimitedError) as error:
                await self._doors.render(problem_of(error), path=scope["path"])(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        rules, method, path = self._rules, scope["method"], scope["path"]
        if path not in self._doors.probes:
            self._addresses.check_host(Headers(scope=scope))
        if self._doors.changes_state(method, path):
            self._addresses.check_origin(Headers(scope=scope))
        access = self._doors.access(method, path)
        if access is Access.OPEN:
            return
        if rules.find_key is None:
            if access is Access.OPERATOR and not rules.trusted:
                raise ForbiddenError(
                    "On an address that other machines reach, this needs an operator's API key: "
                    "toxic-inference keys add NAME --role operator makes one."
                )
            return
        key = _find(rules.find_key, scope)
        if access is Access.OPERATOR and key.role is not Role.OPERATOR:
            raise ForbiddenError(f"The key {key.name!r} is not an operator's.")
        if (rate := rules.requests_per_minute) is not None:
            bucket = rules.buckets.setdefault(key.name, _Bucket(rate, rules.now()))
            if (wait := bucket.take(rate, rules.now())) > 0:
                raise RateLimitedError(
                    f"Quota exceeded for the key {key.name!r}: {rate:,} requests per minute; "
                    f"wait {ceil(wait)} s.",
                    retry_after_seconds=ceil(wait),
                )
        scope[_CALLER] = key.name
        structlog.contextvars.bind_contextvars(client=key.name)


@dataclass(slots=True)
class _Bucket:
    """A token bucket that holds one minute's requests."""

    tokens: float
    filled: float

    def take(self, rate: int, now: float) -> float:
        """Take a token; return 0, or the seconds until there is one."""
        self.tokens = min(self.tokens + (now - self.filled) * rate / 60, rate)
        self.filled = now
        if self.tokens < 1:
            return (1 - self.tokens) * 60 / rate
        self.tokens -= 1
        return 0.0


def _find(find_key: FindKey, scope: Scope) -> ApiKey:
    """Return the known key with the most rights among all that a request presents.

    Some clients send a credential for another service beside the key, or the same one in several places.
    """
    headers = Headers(scope=scope)
    presented = [
        value[len(_BEARER) :].strip()
        for value in headers.getlist("authorization")
        if value.lower().startswith(_BEARER)
    ]
    presented += (value for name in _KEY_HEADERS for value in headers.getlist(name))
    presented += parse_qs(scope["query_string"].decode("latin-1")).get("key", ())
    given = dict.fromkeys(value for value in presented if value)
    if known := [key for value in given if (key := find_key(value)) is not None]:
        return max(known, key=lambda key: key.role is Role.OPERATOR)
    if given:
        raise UnknownKeyError("API key not valid. Please pass a valid API key.")
    raise UnauthenticatedError(
        "This service requires an API key; send it as Authorization: Bearer KEY, X-API-Key, X-Goog-Api-Key "
        "or ?key=."
    )
