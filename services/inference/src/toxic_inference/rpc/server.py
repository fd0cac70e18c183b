"""The gRPC server: the doors' methods, `grpc.health.v1` and reflection on a port of their own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2
from starlette.types import ASGIApp

from toxic_core.errors import ConfigurationError
from toxic_inference.http.door import Door
from toxic_inference.rpc.messages import POOL
from toxic_inference.rpc.methods import GrpcLimits, Methods, service_of

_HEALTH_SECONDS = 0.25
"""Interval of comparing the health service with the core."""

_IDLE_MILLISECONDS = 300_000
"""Idle connections are closed after this time."""


@asynccontextmanager
async def serve_grpc(
    app: ASGIApp,
    doors: Sequence[Door],
    *,
    host: str,
    port: int,
    ready: Callable[[], bool],
    limits: GrpcLimits,
) -> AsyncIterator[int]:
    """Serve the doors' methods, with health and reflection; yield the port.

    Args:
        app: the application of these doors.
        doors: the doors.
        host: the address to listen on.
        port: the port; 0 for any.
        ready: whether the service answers, for the health service.
        limits: the server's limits.

    Raises:
        ConfigurationError: the port can't be used.
    """
    server = grpc.aio.server(
        options=(
            ("grpc.max_receive_message_length", limits.message_bytes),
            ("grpc.max_connection_idle_ms", _IDLE_MILLISECONDS),
            ("grpc.so_reuseport", 0),
        ),
        maximum_concurrent_rpcs=limits.calls,
    )
    methods = Methods(app, doors, limits)
    server.add_generic_rpc_handlers((methods,))
    services = sorted({service_of(operation.path) for door in doors for operation in door.operations})
    checks = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    for known in (health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
        POOL.AddSerializedFile(known.serialized_pb)
    reflection.enable_server_reflection(
        (*services, health.SERVICE_NAME, reflection.SERVICE_NAME), server, pool=POOL
    )
    try:
        bound = server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except RuntimeError as error:
        raise ConfigurationError(
            f"Can't listen on {host}:{port} for gRPC. Stop what uses the port, or set INFERENCE_GRPC_PORT."
        ) from error
    await _update(checks, services, ready=ready())
    await server.start()
    watch = asyncio.create_task(_watch(checks, services, ready))
    try:
        yield bound
    finally:
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch
        await checks.enter_graceful_shutdown()
        stopping = asyncio.create_task(server.stop(limits.grace_seconds))  # refuses new calls
        await methods.drained()
        await server.stop(None)  # ends those that watch health
        await stopping


async def _watch(
    checks: health.aio.HealthServicer, services: Sequence[str], ready: Callable[[], bool]
) -> None:
    while True:
        await asyncio.sleep(_HEALTH_SECONDS)
        await _update(checks, services, ready=ready())


async def _update(checks: health.aio.HealthServicer, services: Sequence[str], *, ready: bool) -> None:
    states = health_pb2.HealthCheckResponse
    for service in (health.OVERALL_HEALTH, *services):
        await checks.set(service, states.SERVING if ready else states.NOT_SERVING)
