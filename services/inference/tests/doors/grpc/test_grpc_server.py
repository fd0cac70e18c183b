import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from toxic_core.errors import ConfigurationError, OverloadedError
from toxic_inference.adapters.key_file import KeyFile, save_keys
from toxic_inference.doors.listing import GRPC_DOORS
from toxic_inference.http.admission import AdmissionRules, RequestLimit
from toxic_inference.http.application import create_api
from toxic_inference.http.backend import Backend
from toxic_inference.http.guard import GuardRules
from toxic_inference.keys import Role, new_key
from toxic_inference.rpc.messages import message_class
from toxic_inference.rpc.methods import GrpcLimits
from toxic_inference.rpc.server import serve_grpc
from toxic_inference.serving.errors import DeadlineExceededError, InferenceError
from toxic_testing.inference.core import FakeCore

pytestmark = pytest.mark.anyio

PREDICT = "tensorflow.serving.PredictionService/Predict"
INFER = "inference.GRPCInferenceService/ModelInfer"
READY = "inference.GRPCInferenceService/ServerReady"
SCORING: dict[str, dict[str, Any]] = {
    PREDICT: {
        "model_spec": {"name": "toxic-comments"},
        "inputs": {
            "text": message_class("tensorflow.TensorProto")(
                dtype=7, tensor_shape={"dim": [{"size": 1}]}, string_val=[b"hello"]
            )
        },
    },
    INFER: {
        "model_name": "toxic-comments",
        "inputs": [
            {"name": "text", "datatype": "BYTES", "shape": [1], "contents": {"bytes_contents": [b"hello"]}}
        ],
    },
}
"""A request that scores a text, by method."""

LIMITS = GrpcLimits(message_bytes=4_000, messages_bytes=8_000, calls=100, grace_seconds=5.0)
Until = Callable[[Callable[[], bool]], Awaitable[None]]

scoring = pytest.mark.parametrize("path", SCORING)


async def refused(call: Any) -> grpc.aio.AioRpcError:
    """Return the error of a call."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


@scoring
async def test_overload_is_refused_with_the_time_to_wait(serve: Any, path: str, metric: Any) -> None:
    """RESOURCE_EXHAUSTED with retry info, and the door's metrics count it."""
    full = OverloadedError("9 rows are waiting; ask again.", retry_after_seconds=6.4)
    admission = AdmissionRules(RequestLimit(0.5), overload=lambda _: full)
    async with serve(admission=admission) as caller:
        error = await refused(caller.call(path, **SCORING[path]))
        assert (error.code(), error.details()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, str(full))
        trailing = dict(error.trailing_metadata())
        assert trailing["grpc-retry-pushback-ms"] == "7000"
        status = message_class("google.rpc.Status").FromString(trailing["grpc-status-details-bin"])
        info = message_class("google.rpc.RetryInfo")()
        assert (status.code, status.message) == (8, str(full))
        assert status.details[0].Unpack(info)
        assert info.retry_delay.seconds == 7
        assert (await caller.call(READY)).ready, "what doesn't score is answered"
    assert metric("toxic_inference_refused_requests_total") == 1


@scoring
async def test_a_call_that_is_cancelled_cancels_its_work(
    caller: Any, core: FakeCore, metric: Any, until: Until, path: str
) -> None:
    """The core hears of it, the version is free again, and metrics count a departed caller."""
    core.held = asyncio.Event()
    call = caller.call(path, **SCORING[path])
    await until(lambda: bool(core.lanes))
    call.cancel()
    await until(lambda: core.cancelled and core.leases == 0)
    await until(lambda: ended(metric, path, 499) == 1)


@scoring
async def test_a_deadline_is_the_cores_and_ends_the_work(
    caller: Any, core: FakeCore, until: Until, path: str
) -> None:
    """The texts have the call's time, and what runs when it is over is cancelled."""
    core.held = asyncio.Event()
    error = await refused(caller.call(path, seconds=2, **SCORING[path]))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert 0 < (core.terms[0].timeout_seconds or 0) < 2.1  # gRPC rounds the time that it sends up
    await until(lambda: core.cancelled)
    core.held = None
    await caller.call(path, **SCORING[path])
    assert core.terms[-1].timeout_seconds is None
    core.error = DeadlineExceededError("The deadline passed.")
    assert (await refused(caller.call(path, **SCORING[path]))).code() is grpc.StatusCode.DEADLINE_EXCEEDED


@scoring
async def test_keys_are_metadata(serve: Any, tmp_path: Path, core: FakeCore, path: str) -> None:
    """As a bearer token or `x-api-key`; health needs none; the rate is per key, over both ports."""
    key, stored = new_key("forum", Role.CLIENT)
    save_keys(tmp_path / "keys.txt", (stored,))
    rules = GuardRules(find_key=KeyFile(tmp_path / "keys.txt").find, requests_per_minute=2)
    async with serve(rules=rules) as caller:
        for wrong in (None, "unknown"):
            error = await refused(caller.call(path, key=wrong, **SCORING[path]))
            assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        assert (await caller.call(READY)).ready
        await caller.call(path, key=key, **SCORING[path])
        assert core.terms[0].caller == "forum"
        await caller.call(path, key=key, **SCORING[path])
        error = await refused(caller.call(path, key=key, **SCORING[path]))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "Quota" in (error.details() or "")
    assert rules.buckets.keys() == {"forum"}


@scoring
async def test_failures_have_their_codes(caller: Any, core: FakeCore, path: str) -> None:
    """Of the model, of the core before a version is there, and of a message that can't be read."""
    core.error = InferenceError("The model failed.")
    error = await refused(caller.call(path, **SCORING[path]))
    assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, "The model failed.")
    core.error = KeyError("secret")
    assert "secret" not in str((await refused(caller.call(path, **SCORING[path]))).details())
    core.error, core.ready = None, False
    error = await refused(caller.call(path, **SCORING[path]))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "grpc-retry-pushback-ms" in dict(error.trailing_metadata())
    core.ready = True
    broken = caller.channel.unary_unary(f"/{path}")(b"\xff\xff")
    assert (await refused(broken)).code() is grpc.StatusCode.INVALID_ARGUMENT
    unknown = caller.channel.unary_unary(f"/{path}ed")(b"")
    assert (await refused(unknown)).code() is grpc.StatusCode.UNIMPLEMENTED
    large = caller.channel.unary_unary(f"/{path}")(b"\x0a" + b"x" * 5_000)
    assert (await refused(large)).code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_silent_calls_take_no_place_of_others(serve: Any) -> None:
    """They share the memory for messages, half of it per caller, and end without one."""
    limits = replace(LIMITS, messages_bytes=8_000, prompt_seconds=0.01, message_seconds=1.0)
    async with serve(limits=limits) as caller:
        call = caller.channel.stream_unary(f"/{PREDICT}")
        silent = [call() for _ in range(2)]
        errors = [await refused(each) for each in silent]
        assert {error.code() for error in errors} == {
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            grpc.StatusCode.INVALID_ARGUMENT,
        }
        empty = call()
        await empty.done_writing()
        assert (await refused(empty)).details() == "The call has no message."
        assert (await caller.call(PREDICT, **SCORING[PREDICT])).outputs


async def test_watching_health_does_not_delay_the_stop(serve: Any) -> None:
    """The server ends such calls once the others are answered."""
    async with serve(limits=replace(LIMITS, grace_seconds=3_600.0)) as caller:
        health: Any = health_pb2_grpc.HealthStub(caller.channel)
        watching = health.Watch(health_pb2.HealthCheckRequest())
        await watching.read()

    async def read_on() -> None:  # a call's status comes behind its messages
        while True:
            await watching.read()

    assert (await refused(read_on())).code() is not grpc.StatusCode.OK


@scoring
async def test_metrics_and_trailing_metadata_are_the_doors(caller: Any, metric: Any, path: str) -> None:
    """Requests are counted by door and method; the answer names its version and the request's id."""
    call = caller.call(path, **SCORING[path])
    await call
    trailing = dict(await call.trailing_metadata())
    assert trailing["x-model-version"] == "7"
    assert len(trailing["x-request-id"]) == 32
    assert "x-frame-options" not in trailing
    assert ended(metric, path, 200) == 1


async def test_health_follows_the_core(caller: Any, core: FakeCore) -> None:
    """Of the server and of each service, by Check and Watch."""
    health: Any = health_pb2_grpc.HealthStub(caller.channel)
    serving = health_pb2.HealthCheckResponse
    request = health_pb2.HealthCheckRequest(service="tensorflow.serving.PredictionService")
    assert (await health.Check(health_pb2.HealthCheckRequest())).status == serving.SERVING
    watching = health.Watch(request)
    assert (await watching.read()).status == serving.SERVING
    core.ready = False
    assert (await watching.read()).status == serving.NOT_SERVING
    assert (await health.Check(request)).status == serving.NOT_SERVING
    watching.cancel()


async def test_reflection_describes_every_service(caller: Any) -> None:
    """With every file that their messages need."""
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(caller.channel)
    talk = stub.ServerReflectionInfo()
    await talk.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    listed = [service.name for service in (await talk.read()).list_services_response.service]
    assert sorted(listed) == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "inference.GRPCInferenceService",
        "tensorflow.serving.ModelService",
        "tensorflow.serving.PredictionService",
    ]
    for name in listed:
        await talk.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=name))
        assert (await talk.read()).file_descriptor_response.file_descriptor_proto
    await talk.done_writing()


async def test_a_taken_port_is_an_error_that_names_the_setting(backend: Backend) -> None:
    """And not a second server on the same port."""
    app = create_api(backend, GRPC_DOORS)

    def serve(port: int) -> Any:
        return serve_grpc(app, GRPC_DOORS, host="127.0.0.1", port=port, ready=backend.ready, limits=LIMITS)

    async with serve(0) as port:
        with pytest.raises(ConfigurationError, match="INFERENCE_GRPC_PORT"):
            async with serve(port):
                pass


async def test_accepted_calls_are_answered_before_the_server_stops(
    serve: Any, core: FakeCore, until: Until
) -> None:
    """Who was accepted gets an answer; health is over at once."""
    core.held = asyncio.Event()
    async with serve() as caller:
        call = caller.call(PREDICT, **SCORING[PREDICT])
        await until(lambda: bool(core.lanes))
        asyncio.get_running_loop().call_soon(core.held.set)
    assert (await call).outputs["scores"].float_val


def ended(metric: Any, path: str, status: int) -> float:
    """Return how many requests to a method ended with a status."""
    door = "tf_serving_grpc" if path == PREDICT else "open_inference_grpc"
    return float(
        metric(
            "toxic_inference_requests_total", door=door, route=f"/{path}", method="POST", status=str(status)
        )
    )
