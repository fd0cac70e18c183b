"""ASGI middleware of every request: who requests it, and its metrics.

Invariant: if people sign in, the ledger's actor is the authenticated user, not the name in the headers.
"""

import time
from contextvars import ContextVar

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from toxic_registry.caller import Caller, Role, from_headers
from toxic_registry.server.metrics import Metrics

SIGNED_IN = "toxic_registry.user"
"""The ASGI scope's key of the authenticated user's name and role."""

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
