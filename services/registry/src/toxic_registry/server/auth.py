"""Optional HTTP basic authentication (RFC 7617) by a file of users.

The middleware checks credentials on every route but health and metrics, off the threads that serve requests.

Invariant: if there are users, no other request passes without a user's password. At most one password
is hashed at a time, and few wait.
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from werkzeug.datastructures import Authorization

from toxic_registry.server.lockout import Lockout
from toxic_registry.server.middleware import SIGNED_IN
from toxic_registry.server.users import User, Users

_OPEN_PATHS = frozenset({"/health", "/health/ready", "/metrics"})
"""What probes and Prometheus ask: no names that callers chose, and no numbers of one caller."""
_MOST_WAITING = 16
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="toxic-registry", charset="UTF-8"'}


class BasicAuthMiddleware:
    """Rejects requests without a user's credentials; stores the user's name and role in the ASGI scope."""

    def __init__(self, app: ASGIApp, *, users: Users) -> None:
        self._app = app
        self._users = users
        self._lockout = Lockout(time.monotonic)
        self._hashing = ThreadPoolExecutor(1, thread_name_prefix="passwords")
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection; see ASGI."""
        if scope["type"] == "lifespan" or scope.get("path") in _OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        given = Authorization.from_header(Headers(scope=scope).get("authorization"))
        if given is None or given.type != "basic":
            await _refusal(HTTPStatus.UNAUTHORIZED)(scope, receive, send)
            return
        name, password = given.username or "", given.password or ""
        address = scope["client"][0] if scope.get("client") else "unknown"
        found = await self._check(self._users.find(name), name, password, address)
        if isinstance(found, User):
            await self._app({**scope, SIGNED_IN: (name, found.role)}, receive, send)
        else:
            await found(scope, receive, send)

    async def _check(
        self, user: User | None, name: str, password: str, address: str
    ) -> User | PlainTextResponse:
        """Return the user if the password is right, else the refusal."""
        # A known password needs no hashing; but to whoever guesses, it would tell that it is right.
        guessing = self._lockout.is_guessing(name, address)
        if user is not None and not guessing and self._users.was_valid(user, password):
            return user
        if seconds := self._lockout.wait_seconds(name, address):
            return _refusal(HTTPStatus.TOO_MANY_REQUESTS, retry_after=seconds)
        if self._waiting >= _MOST_WAITING:
            return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, retry_after=1)
        self._waiting += 1
        try:
            async with self._turn:
                # Those that waited were sent before the failures that came meanwhile.
                if seconds := self._lockout.wait_seconds(name, address):
                    return _refusal(HTTPStatus.TOO_MANY_REQUESTS, retry_after=seconds)
                loop = asyncio.get_running_loop()
                right = await loop.run_in_executor(self._hashing, self._users.check, user, password)
                if not right:
                    self._lockout.failed(name, address)
        finally:
            self._waiting -= 1
        if right and user is not None:
            self._lockout.succeeded(name, address)
            return user
        return _refusal(HTTPStatus.UNAUTHORIZED)


def _refusal(status: HTTPStatus, *, retry_after: int = 0) -> PlainTextResponse:
    headers = {"Retry-After": str(retry_after)} if retry_after else _CHALLENGE
    text = (
        "Too many wrong passwords; try again later.\n"
        if retry_after
        else "Sign in with a user of this registry.\n"
    )
    return PlainTextResponse(text, status_code=status, headers=headers)
