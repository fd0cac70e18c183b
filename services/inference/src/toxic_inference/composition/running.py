"""What runs beside the requests of HTTP: gRPC and the tasks of the core."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from functools import partial

from starlette.applications import Starlette

from toxic_inference.composition.executors import Executors
from toxic_inference.doors.listing import GRPC_DOORS
from toxic_inference.http.admission import AdmissionRules
from toxic_inference.http.application import Lifespan, create_api
from toxic_inference.http.backend import Backend
from toxic_inference.http.guard import GuardRules
from toxic_inference.serving.versions.manager import Manager
from toxic_inference.settings import Settings


def make_grpc(
    settings: Settings, backend: Backend, rules: GuardRules, admission: AdmissionRules
) -> Callable[[], AbstractAsyncContextManager[int | None]]:
    """Return what serves gRPC while its context is open, if there is a port."""
    if settings.grpc_port is None:
        return nullcontext
    from toxic_inference.rpc.methods import GrpcLimits  # noqa: PLC0415  a tenth of a second
    from toxic_inference.rpc.server import serve_grpc  # noqa: PLC0415  as above

    proxies = settings.trusted_proxies
    app = create_api(
        backend,
        GRPC_DOORS,
        rules=rules,
        allowed_hosts=("*",),  # no page speaks gRPC
        trusted_proxies=proxies,
        admission=admission,
    )
    return partial(
        serve_grpc,
        app,
        GRPC_DOORS,
        host=settings.host,
        port=settings.grpc_port,
        ready=backend.ready,
        limits=GrpcLimits(
            message_bytes=backend.limits.body_bytes,
            messages_bytes=backend.limits.bodies_bytes,
            calls=settings.max_connections,
            grace_seconds=settings.shutdown_grace_seconds,
        ),
    )


def make_lifespan(
    runs: Sequence[Callable[[], Coroutine[None, None, None]]],
    manager: Manager,
    threads: Executors,
    *,
    grpc: Callable[[], AbstractAsyncContextManager[int | None]],
    closing: Sequence[Callable[[], None]],
) -> Lifespan:
    """Return the lifespan of the service: what runs beside requests, and how it ends."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(run()) for run in runs]
        try:
            async with grpc():
                yield
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task
            await manager.close()
            threads.shutdown()
        for close in closing:
            close()

    return lifespan
