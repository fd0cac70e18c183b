"""ASGI middleware of every request: who requests it, from which page, and its metrics.

Invariant: if people sign in, the ledger's actor is the authenticated user, not the name in the headers.
"""

import time
from collections.abc import Collection
from contextvars import ContextVar
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from toxic_registry.caller import Caller, Role, from_headers
from toxic_registry.server.metrics import Metrics

SIGNED_IN = "toxic_registry.user"
"""The ASGI scope's key of the authenticated user's name and role."""

_LONGEST_NAME = 255
"""Bytes of a file's name."""
_LONGEST_PATH = 2_048
"""Bytes of a path; a file system takes 4,096, with the store's folder."""
_PROBED = frozenset({"/health", "/health/ready", "/metrics"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

_caller: ContextVar[Caller | None] = ContextVar("caller", default=None)


def current_caller() -> Caller:
    """Return the caller of the current request, or the registry itself outside of one."""
    return _caller.get() or Caller(actor="registry")


class CallerMiddleware:
    """Makes the caller available to the store behind MLflow's handlers, whichever route a request takes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection; see ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name, role = scope.get(SIGNED_IN, ("", Role.OVERRIDE))
        caller = from_headers(
            Headers(scope=scope),
            signed_in=name,
            address=scope["client"][0] if scope.get("client") else "unknown",
            role=role,
        )
        token = _caller.set(caller)
        try:
            await self._app(scope, receive, send)
        finally:
            _caller.reset(token)


def fits(path: str) -> bool:
    """Return whether a file system takes a path of this length, and the names in it."""
    return len(path.encode()) <= _LONGEST_PATH and all(
        len(name.encode()) <= _LONGEST_NAME for name in path.split("/")
    )


class OriginMiddleware:
    """Refuses changes from pages of other origins, and requests without one Host header or a possible path.

    MLflow accepts every origin on this machine; another program's page there is no more trusted than others.
    """

    def __init__(self, app: ASGIApp, *, origins: Collection[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection; see ASGI."""
        if scope["type"] == "http" and (refusal := self._refusal(scope)):
            await PlainTextResponse(refusal[1], status_code=refusal[0])(scope, receive, send)
            return
        if scope["type"] == "http" and _is_own(Headers(scope=scope)):
            # MLflow refuses origins that aren't in its list, which can't have those of any host.
            kept = [(name, value) for name, value in scope["headers"] if name != b"origin"]
            scope = {**scope, "headers": kept}
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[HTTPStatus, str] | None:
        headers = Headers(scope=scope)
        if scope["path"] not in _PROBED and len(headers.getlist("host")) != 1:
            return HTTPStatus.BAD_REQUEST, "Send one Host header.\n"
        if "\0" in scope["path"] or not fits(scope["path"]):
            return HTTPStatus.BAD_REQUEST, "The path has a NUL, or it or a name in it is too long.\n"
        if scope["method"] in _SAFE:
            return None
        origin = headers.get("origin")
        may = not origin or origin in self._origins or _is_own(headers)
        if may and headers.get("sec-fetch-site") != "cross-site":
            return None
        return HTTPStatus.FORBIDDEN, "A page of another origin changes nothing; see REGISTRY_ALLOWED_HOSTS.\n"


def _is_own(headers: Headers) -> bool:
    """Return whether a page of the host that a request is sent to sends it; MLflow checks the host."""
    return headers.get("origin", "").partition("://")[2] == headers.get("host")


class MetricsMiddleware:
    """Counts and times every request."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection; see ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500  # the server's answer if the app raises

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started = time.perf_counter()
        try:
            await self._app(scope, receive, watch)
        finally:
            self._metrics.count_request(
                scope["path"], scope["method"], status=status, seconds=time.perf_counter() - started
            )
