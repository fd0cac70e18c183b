"""The gRPC server over a fake core, in the test's process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest

from toxic_inference.doors.listing import GRPC_DOORS
from toxic_inference.http.admission import AdmissionRules
from toxic_inference.http.application import NO_RULES, create_api
from toxic_inference.http.backend import Backend
from toxic_inference.http.guard import GuardRules
from toxic_inference.rpc.messages import POOL, message_class
from toxic_inference.rpc.methods import GrpcLimits
from toxic_inference.rpc.server import serve_grpc

LIMITS = GrpcLimits(message_bytes=4_000, messages_bytes=8_000, calls=100, grace_seconds=5.0)


class Caller:
    """Calls methods by their path, with the messages of the service's own descriptors."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel

    def call(
        self,
        path: str,
        *,
        seconds: float | None = None,
        key: str | None = None,
        policy: str | None = None,
        traceparent: str | None = None,
        **fields: Any,
    ) -> Any:
        """Start a call; awaiting it returns the answer."""
        service, _, name = path.rpartition("/")
        method = POOL.FindServiceByName(service).methods_by_name[name]
        request = message_class(method.input_type.full_name)(**fields)
        metadata = [] if key is None else [("authorization", f"Bearer {key}")]
        metadata += [] if policy is None else [("x-policy", policy)]
        metadata += [] if traceparent is None else [("traceparent", traceparent)]
        return self.channel.unary_unary(
            f"/{path}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=message_class(method.output_type.full_name).FromString,
        )(request, timeout=seconds, metadata=metadata)


Serve = Callable[..., AbstractAsyncContextManager[Caller]]


@pytest.fixture
async def serve(backend: Backend) -> AsyncIterator[Serve]:
    """Return the function that serves the doors; its callers' channels outlive the server."""
    async with AsyncExitStack() as channels:

        @asynccontextmanager
        async def running(
            *,
            rules: GuardRules = NO_RULES,
            admission: AdmissionRules | None = None,
            limits: GrpcLimits = LIMITS,
        ) -> AsyncIterator[Caller]:
            app = create_api(backend, GRPC_DOORS, rules=rules, allowed_hosts=("*",), admission=admission)
            async with serve_grpc(
                app, GRPC_DOORS, host="127.0.0.1", port=0, ready=backend.ready, limits=limits
            ) as port:
                channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
                yield Caller(await channels.enter_async_context(channel))

        yield running


@pytest.fixture
async def caller(serve: Serve) -> AsyncIterator[Caller]:
    """A caller of the doors without keys."""
    async with serve() as caller:
        yield caller


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Return the function that waits until a condition holds; what it waits for crosses a socket."""

    async def wait(holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not holds():  # noqa: ASYNC110  what it waits for sets no event
                await asyncio.sleep(0.01)

    return wait
