"""What every request passes, as pure ASGI: identity, measuring, limits, security headers.

Invariant: pure ASGI, since Starlette's `BaseHTTPMiddleware` hides disconnects; and a failure that no handler
knew is answered in the surface's shape here, logged, and never reaches the server.
"""

import random
import re
import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from toxic_inference.events import Emit, RequestEnded, RequestStarted
from toxic_inference.http.error_shapes import render_problem
from toxic_inference.http.errors import BodyTooLargeError, problem_of

_log = structlog.get_logger(__name__)

_REQUEST_ID = "x-request-id"
_REQUEST_ID_FORM = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DEPARTED = 499
"""What an access log calls a request whose client left before the answer; nobody receives it."""

_QUIET_ROUTES = frozenset({"/health/live", "/health/ready", "/metrics"})

_UPLOADS = ("multipart/form-data", "text/csv", "application/x-ndjson")

_SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (
        b"content-security-policy",
        (
            b"default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
            b"frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
        ),
    ),
    (b"cache-control", b"no-store"),
)


class RequestContext:
    """Names, measures and logs requests, and answers those that fail unforeseen."""

    def __init__(self, app: ASGIApp, *, emit: Emit) -> None:
        self._app = app
        self._emit = emit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope).get(_REQUEST_ID))
        started = time.perf_counter()
        status = _DEPARTED

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[_REQUEST_ID] = request_id
            await send(message)

        self._emit(RequestStarted())
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._answer(scope, receive, sending)
            finally:
                self._ended(scope, status=status, seconds=time.perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except ClientDisconnect:
            return  # nobody is there to answer
        except Exception as error:
            _log.exception("request.failed", path=scope["path"])
            if started:
                raise  # the server cuts the connection, so that half an answer isn't taken for a whole one
            response = render_problem(problem_of(error), path=scope["path"])
            await response(scope, receive, send)

    def _ended(self, scope: Scope, *, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        # Methods outside the standard would be unbounded label values.
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        self._emit(RequestEnded(route=route, method=method, status=status, seconds=seconds))
        log = _log.debug if route in _QUIET_ROUTES else _log.info
        log("request.ended", route=route, method=method, status=status, seconds=round(seconds, 4))


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _request_id(given: str | None) -> str:
    if given is not None and _REQUEST_ID_FORM.fullmatch(given):
        return given
    # A name and no secret: the system's randomness would cost twenty times as much.
    return f"{random.getrandbits(128):032x}"


class SecurityHeaders:
    """Adds the headers that keep a browser from doing what no page here asks for."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                present = {name for name, _ in headers}  # lower case, as ASGI has it
                message["headers"] = headers + [each for each in _SECURITY_HEADERS if each[0] not in present]
            await send(message)

        await self._app(scope, receive, sending)


class BodyLimit:
    """Stops reading a body that is too large: by its declared length, and by what really arrives.

    Args:
        app: the application inside.
        max_bytes: for every body but uploads.
        max_upload_bytes: for CSV, NDJSON and multipart bodies.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, max_upload_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._max_upload_bytes = max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        limit = self._limit(headers.get("content-type", ""))
        declared = headers.get("content-length", "")
        if declared.isdigit() and int(declared) > limit:
            response = render_problem(problem_of(_too_large(limit)), path=scope["path"])
            response.headers["connection"] = "close"
            await response(scope, receive, send)
            return
        received = 0

        async def receiving() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > limit:
                    raise _too_large(limit)
            return message

        await self._app(scope, receiving, send)

    def _limit(self, content_type: str) -> int:
        upload = content_type.lower().startswith(_UPLOADS)
        return self._max_upload_bytes if upload else self._max_bytes


def _too_large(limit: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"The body is larger than {limit:,} bytes; send it in parts.")
