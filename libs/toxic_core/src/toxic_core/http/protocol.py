"""uvicorn's HTTP protocol over httptools, with limits: the parser has none.

Deadlines cost no timer per request: `Connections` looks at every connection once per second.

Invariant: of any request, at most `head_bytes` and two packets are in memory before the
application sees a request.
"""

from enum import Enum, auto
from functools import partial
from http import HTTPStatus
from typing import Any, cast

from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from toxic_core.http.limits import Connections, HttpLimits


class _Phase(Enum):
    HEAD = auto()
    """Before the end of a request's headers, idle connections included."""
    BODY = auto()
    ANSWER = auto()
    """The request is complete."""
    DISCARD = auto()
    """The request was answered before its end, of which the rest is read."""


def limited(limits: HttpLimits) -> type[Any]:
    """Return the value of uvicorn's setting `http` for one server with these limits."""
    return cast("type[Any]", partial(LimitedProtocol, guard=Connections(limits)))


class LimitedProtocol(HttpToolsProtocol):
    """One connection; the phase is that of its last request."""

    def __init__(self, *args: Any, guard: Connections, **options: Any) -> None:
        super().__init__(*args, **options)
        self._guard = guard
        self._limits = guard.limits
        self.peer = ""
        self._phase = _Phase.HEAD
        self._since = self._last = self._stalled = 0.0
        self._begun = self._refused = self._beyond = False
        self._callbacks = self._unparsed = self._head_bytes = self._head_fields = self._body_bytes = 0

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        self.peer = self.client[0] if self.client else ""
        self._since = self._guard.now()
        self._beyond = not self._guard.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._guard.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse a packet; refuse the request if it has none of what it should have."""
        if self._refused:
            return
        callbacks = self._callbacks
        super().data_received(data)
        # A header, a trailer or a chunk's extension without an end.
        self._unparsed = self._unparsed + len(data) if self._callbacks == callbacks else 0
        if self._unparsed > self._limits.head_bytes and not self._refused:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        """Count a new request."""
        super().on_message_begin()
        self._callbacks += 1
        self._begun = True
        self._head_bytes = self._head_fields = self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Count a part of the request line."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header or a trailer."""
        self._head_fields += 1
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Let the application begin, and wait for the body."""
        self._callbacks += 1
        if self._beyond and not self.url.startswith(self._limits.probes):
            self.app = service_unavailable
        self._phase, self._begun = _Phase.BODY, False
        self._since = self._last = self._guard.now()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._callbacks += 1
        self._body_bytes += len(body)
        self._last = self._guard.now()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Stop waiting."""
        self._callbacks += 1
        super().on_message_complete()
        if self._phase is _Phase.DISCARD:
            self._wait(_Phase.HEAD)
        else:
            self._phase = _Phase.ANSWER
            self._guard.works(self)

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the end of this one."""
        super().on_response_complete()
        if self.cycle.response_complete:  # else another one is in the pipeline
            self._wait(_Phase.DISCARD if self.cycle.more_body else _Phase.HEAD)

    def pause_writing(self) -> None:
        """Note since when the client doesn't read."""
        self._stalled = self._guard.now()
        super().pause_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's signature
        """Refuse a request that the parser refuses."""
        over = self._head_bytes > self._limits.head_bytes or self._head_fields > self._limits.head_fields
        self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if over else HTTPStatus.BAD_REQUEST)

    def check(self, now: float) -> None:
        """End the connection if it is over a time limit; see `Connection`."""
        limits = self._limits
        if self.flow.write_paused and now - self._stalled > limits.send_idle_seconds:
            self.transport.abort()
        elif self._phase is _Phase.HEAD:
            if now - self._since > limits.head_seconds:
                self.give_way()
        elif self._phase is _Phase.DISCARD:
            if now - self._since > limits.discard_seconds:
                self.transport.close()
        elif self._phase is _Phase.BODY:
            if self.flow.read_paused or self.cycle.response_started:
                # The application takes its time, or answers while it reads, with its own limits.
                self._since = self._last = now
                self._body_bytes = 0
            most = limits.body_idle_seconds + self._body_bytes / limits.body_bytes_per_second
            if now - self._last > limits.body_idle_seconds or now - self._since > most:
                self.give_way()

    def give_way(self) -> None:
        """Answer 408 if a request began and has no answer; close the connection; see `Connection`."""
        waits_for_body = self._phase is _Phase.BODY and not self.cycle.response_started
        if waits_for_body or (self._phase is _Phase.HEAD and self._begun):
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, discard=False)
        else:
            self.transport.close()

    def _count(self, size: int) -> None:
        self._callbacks += 1
        self._head_bytes += size
        if self._head_bytes > self._limits.head_bytes or self._head_fields > self._limits.head_fields:
            raise ValueError("The head is too large.")

    def _wait(self, phase: _Phase) -> None:
        self._phase, self._since = phase, self._guard.now()
        self._guard.waits(self)

    def _refuse(self, status: HTTPStatus, *, discard: bool = True) -> None:
        """Answer before the end of a request; with `discard`, read the rest, which would reset the answer."""
        self._refused = True
        unanswered = self._phase is _Phase.HEAD or (
            self._phase is _Phase.BODY and not self.cycle.response_started and not self.pipeline
        )
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        body = f"{status.phrase}.\n".encode()
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: text/plain; charset=utf-8\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        if unanswered and not self.transport.is_closing():
            self.transport.write(head.encode() + body)
        if unanswered and discard and not self.transport.is_closing():
            self.transport.write_eof()
            self._wait(_Phase.DISCARD)
        else:
            self.transport.close()
