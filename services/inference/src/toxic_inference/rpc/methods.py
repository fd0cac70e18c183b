"""The doors' methods: every message of a call is a request to the ASGI application of the gRPC doors.

So keys, admission control, limits, time limits, metrics and the log are those of HTTP, by the same code.
Metadata are headers, a deadline is the header `timeout`, and an error body becomes the call's status.

Invariants: a call that is cancelled, or whose deadline passes, cancels its request. A message is read once
its request has passed keys and admission control; those that take long share the memory for messages.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import unquote

import grpc
import orjson
from starlette.types import ASGIApp, Message, Scope

from toxic_core.errors import OverloadedError, ToxicError
from toxic_inference.budget import Budget
from toxic_inference.http.backend import UNEVALUATED_LANGUAGES_HEADER
from toxic_inference.http.door import Door
from toxic_inference.http.errors import MalformedRequestError
from toxic_inference.http.guard import caller_in
from toxic_inference.http.policies import DECIDED_HEADER, POLICY_HEADER
from toxic_inference.http.terms import MAX_TIMEOUT_SECONDS, TIMEOUT_HEADER
from toxic_inference.http.texts import LOW_CONFIDENCE_TEXTS_HEADER, TRUNCATED_TEXTS_HEADER
from toxic_inference.rpc.messages import POOL, message_class

_AHEAD = 32
"""Messages of one stream that are answered at a time."""

_OK = 200
_ANSWERED_HEADERS = (
    "x-request-id",
    "traceparent",
    "x-model-version",
    TRUNCATED_TEXTS_HEADER,
    LOW_CONFIDENCE_TEXTS_HEADER,
    UNEVALUATED_LANGUAGES_HEADER,
    POLICY_HEADER,
    DECIDED_HEADER,
)
_RETRY_AFTER = "retry-after"

_Metadata = tuple[tuple[str, str | bytes], ...]
_Context = grpc.aio.ServicerContext[bytes, bytes]


@dataclass(frozen=True, slots=True)
class GrpcLimits:
    """Limits of the server.

    Attributes:
        message_bytes: largest message.
        messages_bytes: memory for messages that take long to arrive; a caller has half of it at most.
        calls: most calls at a time.
        grace_seconds: time for accepted calls to finish after the stop.
        prompt_seconds: messages that take longer to arrive share the memory for them.
        message_seconds: longest further time for a message to arrive.
        streams: most streams at a time; a peer has half of them at most.
    """

    message_bytes: int
    messages_bytes: int
    calls: int
    grace_seconds: float
    prompt_seconds: float = 1.0
    message_seconds: float = 20.0
    streams: int = 64


@dataclass(frozen=True, slots=True)
class _Answer:
    """The application's answer to one message.

    Attributes:
        message: the serialized answer; empty if there is an error.
        metadata: trailing metadata.
        error: the error's code, as a name of `google.rpc.Code`, and its message.
    """

    message: bytes
    metadata: _Metadata
    error: tuple[str, str] | None = None


class Methods(grpc.GenericRpcHandler):
    """The doors' methods, by their paths; each message is a request to the application."""

    def __init__(self, app: ASGIApp, doors: Sequence[Door], limits: GrpcLimits) -> None:
        self._app = app
        self._limits = limits
        self._slow = Budget(limits.messages_bytes, _no_room)
        self._streams = Budget(limits.streams, _no_room)
        self._calls: set[asyncio.Task[Any]] = set()
        self._handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {}
        for path in (operation.path for door in doors for operation in door.operations):
            described = POOL.FindServiceByName(service_of(path)).methods_by_name[path.rpartition("/")[2]]
            handler: grpc.RpcMethodHandler[bytes, bytes]
            if described.client_streaming:
                answer = message_class(described.output_type.full_name)
                handler = grpc.stream_stream_rpc_method_handler(partial(self._stream, path, answer))
            else:
                # On the wire a call with one message is a stream of one, but only of streams gRPC lets us
                # choose when a message is read.
                handler = grpc.stream_unary_rpc_method_handler(partial(self._unary, path))
            self._handlers[path] = handler

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        """Return the handler of a method; None if there is none."""
        return self._handlers.get(handler_call_details.method)

    async def drained(self) -> None:
        """Return once the calls in progress are answered, or the time for them is over."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=self._limits.grace_seconds)

    def _track(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  gRPC's own, which ends when the answer is sent
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _unary(self, path: str, _: AsyncIterator[bytes], context: _Context) -> bytes:
        self._track()
        scope = _scope(path, context)
        answer = await self._ask(scope, lambda: self._read(scope, context))
        if answer.error is not None:
            code, details = answer.error
            await context.abort(grpc.StatusCode[code], details, answer.metadata)
        context.set_trailing_metadata(answer.metadata)
        return answer.message

    async def _read(self, scope: Scope, context: _Context) -> bytes | None:
        """Return the message of a call; None if it has none.

        Raises:
            OverloadedError: it takes long, and there is no memory for more of these.
            MalformedRequestError: it doesn't arrive.
        """
        loop = asyncio.get_running_loop()
        refusal: ToxicError = MalformedRequestError("The message didn't arrive in time; send it whole.")

        def hold() -> None:
            nonlocal refusal
            try:
                held.grow(self._limits.message_bytes)
            except OverloadedError as error:
                refusal = error
                deadline.reschedule(loop.time())
            else:
                deadline.reschedule(loop.time() + self._limits.message_seconds)

        # No task and one timer: most messages are there already.
        with self._slow.hold(caller_in(scope)) as held:
            slow = loop.call_later(self._limits.prompt_seconds, hold)
            try:
                async with asyncio.timeout(None) as deadline:
                    message: Any = await context.read()
            except TimeoutError:
                raise refusal from None
            finally:
                slow.cancel()
        return None if message is grpc.aio.EOF else message

    async def _stream(
        self, path: str, answer_class: Any, messages: AsyncIterator[bytes], context: _Context
    ) -> None:
        """Answer the messages in order, several at a time; an error is the answer to its message only."""
        self._track()
        answers: asyncio.Queue[asyncio.Task[_Answer] | None] = asyncio.Queue(_AHEAD)

        async def ask(message: bytes) -> _Answer:
            async def read() -> bytes:
                return message

            return await self._ask(_scope(path, context), read)

        async def read_all() -> None:
            async for message in messages:
                await answers.put(group.create_task(ask(message)))
            await answers.put(None)

        with self._streams.hold(caller_in(_scope(path, context))) as held:
            try:
                held.grow(1)
            except OverloadedError as error:
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
            async with asyncio.TaskGroup() as group:
                group.create_task(read_all())
                while (task := await answers.get()) is not None:
                    answer = await task
                    if answer.error is None:
                        await context.write(answer.message)
                    else:
                        await context.write(answer_class(error_message=answer.error[1]).SerializeToString())

    async def _ask(self, scope: Scope, read: Callable[[], Awaitable[bytes | None]]) -> _Answer:
        """Return the application's answer to the message that `read` returns."""
        unread = True
        status, headers, body = 0, {}, b""

        async def receive() -> Message:
            nonlocal unread
            if not unread:
                await asyncio.Event().wait()  # a departed caller cancels the call instead
            unread = False
            message = await read()
            if message is None:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": message, "more_body": False}

        async def send(sent: Message) -> None:
            nonlocal status, headers, body
            if sent["type"] == "http.response.start":
                status = sent["status"]
                headers = {name.decode(): value.decode("latin-1") for name, value in sent["headers"]}
            else:
                body += sent.get("body", b"")

        await self._app(scope, receive, send)
        metadata = tuple((name, headers[name]) for name in _ANSWERED_HEADERS if name in headers)
        if not status:
            return _Answer(b"", metadata, ("INVALID_ARGUMENT", "The call has no message."))
        if status == _OK:
            return _Answer(body, metadata)
        error = orjson.loads(body)
        code, details = error["code"], error["message"]
        if _RETRY_AFTER in headers:
            metadata += _retry(code, details, seconds=int(headers[_RETRY_AFTER]))
        return _Answer(b"", metadata, (code, details))


def service_of(path: str) -> str:
    """Return the service of a method's path."""
    return path.split("/")[1]


def _no_room() -> OverloadedError:
    return OverloadedError(
        "Other calls' messages are being received; call again later.", retry_after_seconds=1.0
    )


def _scope(path: str, context: _Context) -> Scope:
    """Return the ASGI scope of a call."""
    headers = [
        (name.encode(), value.encode("latin-1", "replace"))
        for name, value in context.invocation_metadata() or ()
        if isinstance(value, str) and name != TIMEOUT_HEADER
    ]
    remaining = context.time_remaining()
    if remaining is not None and remaining <= MAX_TIMEOUT_SECONDS:
        # A call without time left is about to be cancelled.
        headers.append((TIMEOUT_HEADER.encode(), f"{max(remaining, 0.001):.6f}".encode()))
    _, _, address = unquote(context.peer()).partition(":")
    host, _, port = address.rpartition(":")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "2",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": (host.strip("[]"), int(port)) if port.isdecimal() else None,
        "server": None,
    }


def _retry(code: str, details: str, *, seconds: int) -> _Metadata:
    """Return metadata with the time to wait: `google.rpc.RetryInfo`, and what gRPC's own retries obey."""
    info = message_class("google.rpc.RetryInfo")(retry_delay={"seconds": seconds})
    status = message_class("google.rpc.Status")(code=grpc.StatusCode[code].value[0], message=details)
    status.details.add().Pack(info)
    return (
        ("grpc-status-details-bin", status.SerializeToString()),
        ("grpc-retry-pushback-ms", str(seconds * 1_000)),
    )
