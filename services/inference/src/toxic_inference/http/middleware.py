"""What every request passes: request ids, measuring, body limits, security headers, the operation's handler.

Pure ASGI, since Starlette's `BaseHTTPMiddleware` hides disconnects.

Invariant: a failure without a handler is logged and answered here in the door's error shape, and never
reaches the server.
"""

import random
import re
import time

import structlog
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from toxic_core.errors import OverloadedError
from toxic_inference.budget import Budget
from toxic_inference.events import Emit, RequestEnded, RequestStarted
from toxic_inference.http.backend import Backend, Limits
from toxic_inference.http.door import Door, Doors, Operation
from toxic_inference.http.encodings.forms import check_query
from toxic_inference.http.errors import problem_of, too_large
from toxic_inference.http.guard import caller_in

_log = structlog.get_logger(__name__)

_REQUEST_ID = b"x-request-id"
_REQUEST_ID_FORM = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DEPARTED = 499
"""Status of a request from a client that left before the answer, for metrics and the log."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_STARTED = RequestStarted()

_FREE_BYTES = 32 * 1024
"""Smaller bodies aren't counted: there are only so many connections."""

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


class Endpoint:
    """Calls an operation's handler. The router puts it into the scope, where `RequestContext` reads it."""

    def __init__(self, door: Door, operation: Operation, backend: Backend) -> None:
        self.door = door
        self.operation = operation
        self._handler = operation.handler
        self._backend = backend

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        request = Request(scope, receive, send)
        if self.door.strict_query:
            check_query(request, self.operation.query)
        response = await self._handler(request, self._backend)
        await response(scope, receive, send)


class RequestContext:
    """Names, measures and logs requests, and answers those that fail unexpectedly.

    Adds to each answer the request's id and the headers that restrict what a browser may do with it.
    """

    def __init__(self, app: ASGIApp, *, doors: Doors, emit: Emit) -> None:
        self._app = app
        self._doors = doors
        self._emit = emit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = Headers(scope=scope).get(_REQUEST_ID.decode())
        if request_id is None or not _REQUEST_ID_FORM.fullmatch(request_id):
            # An identifier, not a secret: the system's randomness would cost twenty times as much.
            request_id = f"{random.getrandbits(128):032x}"
        added = ((_REQUEST_ID, request_id.encode()), *_SECURITY_HEADERS)
        began = time.perf_counter()
        status = _DEPARTED

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message.get("headers", ())
                present = {name for name, _ in headers}  # ASGI's names are in lower case
                message["headers"] = [*headers, *(each for each in added if each[0] not in present)]
            await send(message)

        self._emit(_STARTED)
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, sending)
            except ClientDisconnect:
                pass
            except Exception as error:
                _log.exception("request.failed", path=scope["path"])
                if status != _DEPARTED:
                    raise  # the server cuts the connection, so that the client notices an incomplete answer
                await self._doors.render(problem_of(error), path=scope["path"])(scope, receive, sending)
            finally:
                self._ended(scope, status=status, seconds=time.perf_counter() - began)

    def _ended(self, scope: Scope, *, status: int, seconds: float) -> None:
        # Methods outside the standard would be unbounded label values.
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        endpoint = scope.get("endpoint")
        if isinstance(endpoint, Endpoint):
            door, operation = endpoint.door.name, endpoint.operation
            route, log = operation.path, _log.debug if operation.probe else _log.info
            scores = "yes" if operation.scores else "no"
        else:
            found = self._doors.of(scope["path"])
            door, route, scores, log = found.name if found else "none", "unmatched", "no", _log.info
        self._emit(
            RequestEnded(door=door, route=route, scores=scores, method=method, status=status, seconds=seconds)
        )
        log("request.ended", route=route, method=method, status=status, seconds=round(seconds, 4))


class BodyLimit:
    """Refuses a body that is too large, by its declared length and by the bytes that arrive.

    The limit is the operation's. Bodies that are read as files are on disk, others in memory; of both, each
    caller has a share.
    """

    def __init__(self, app: ASGIApp, *, doors: Doors, limits: Limits) -> None:
        self._app = app
        self._doors = doors
        self._limits = limits
        self._memory = Budget(limits.bodies_bytes, _no_room)
        self._spools = Budget(limits.spools_bytes, _no_room)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._doors.body_limit(scope, self._limits)
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        if declared.isdigit() and int(declared) > limit:
            # The server reads the rest, so that the answer arrives.
            response = self._doors.render(problem_of(too_large(limit)), path=scope["path"])
            await response(scope, receive, send)
            return
        received = counted = 0
        budget = self._spools if self._doors.reads_file(scope) else self._memory

        async def receiving() -> Message:
            nonlocal received, counted
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > limit:
                    raise too_large(limit)
                if received > _FREE_BYTES:
                    held.grow(received - counted)
                    counted = received
            return message

        with budget.hold(caller_in(scope)) as held:
            await self._app(scope, receiving, send)


def _no_room() -> OverloadedError:
    return OverloadedError(
        "Other large bodies are being received; send this one again later.", retry_after_seconds=1.0
    )
