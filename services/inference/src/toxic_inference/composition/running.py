"""What runs beside the requests of HTTP: gRPC and the tasks of the core.

Invariant: a task that ends by an error is logged and restarted, and the shutdown runs every closing step even
if one of them fails.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from functools import partial

import structlog
from starlette.applications import Starlette

from toxic_inference.composition.executors import Executors
from toxic_inference.doors.listing import GRPC_DOORS
from toxic_inference.http.admission import AdmissionRules
from toxic_inference.http.application import Lifespan, create_api
from toxic_inference.http.backend import Backend
from toxic_inference.http.guard import GuardRules
from toxic_inference.serving.clock import Clock
from toxic_inference.serving.versions.manager import Manager
from toxic_inference.settings import Settings

_log = structlog.get_logger(__name__)

_RESTART_SECONDS = 10.0
"""Pause before a restart, so that a permanent error doesn't fill the log."""

Run = Callable[[], Coroutine[None, None, None]]


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
    runs: Sequence[Run],
    manager: Manager,
    threads: Executors,
    *,
    grpc: Callable[[], AbstractAsyncContextManager[int | None]],
    closing: Sequence[Callable[[], None]],
    clock: Clock,
) -> Lifespan:
    """Return the lifespan of the service: what runs beside requests, and how it ends."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stop:  # runs its steps in reverse order
            for close in reversed(closing):
                stop.callback(close)
            stop.callback(threads.shutdown)
            stop.push_async_callback(manager.close)
            stop.push_async_callback(
                _cancel, [asyncio.create_task(_keep_running(run, clock)) for run in runs]
            )
            await stop.enter_async_context(grpc())
            yield

    return lifespan


async def _keep_running(run: Run, clock: Clock) -> None:
    """Run a task until it is cancelled; after an error, log it and restart the task.

    The service doesn't stop: most requests don't need the task, and the error may be temporary. A task's
    state is in its object, so that a restart continues where it was.
    """
    while True:
        try:
            await run()
        except Exception:  # noqa: BLE001  a task's boundary
            _log.exception("task.broke", task=run.__qualname__)
            if (task := asyncio.current_task()) and task.cancelling():
                return  # the error came while it was being cancelled
        else:
            return
        await clock.wait(asyncio.Event(), at_most_seconds=_RESTART_SECONDS)


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
