import asyncio
import struct
from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np
import pytest

from toxic_inference.policies.file import Policies
from toxic_inference.rpc.messages import message_class
from toxic_testing.inference.core import UNREAD, FakeCore

pytestmark = pytest.mark.anyio

SERVICE = "inference.GRPCInferenceService"
INFER = f"{SERVICE}/ModelInfer"
MODEL = "toxic-comments"
IDS, MASK = np.array([[2, 5, 3, 0]], "<i4"), np.array([[1, 1, 1, 0]], "<i4")


def texts(*given: str, raw: bool = False) -> dict[str, Any]:
    """Return the fields of a request for texts, as contents or raw."""
    tensor: dict[str, Any] = {"name": "text", "datatype": "BYTES", "shape": [len(given)]}
    encoded = [text.encode() for text in given]
    if not raw:
        return {"inputs": [tensor | {"contents": {"bytes_contents": encoded}}]}
    joined = b"".join(struct.pack("<I", len(text)) + text for text in encoded)
    return {"inputs": [tensor], "raw_input_contents": [joined]}


async def test_texts_are_scored_in_the_form_in_which_they_came(caller: Any, core: FakeCore) -> None:
    """Contents give contents, and raw bytes raw ones: the same values."""
    contents = await caller.call(INFER, model_name=MODEL, id="7", **texts("a" * 60, "hello"))
    raw = await caller.call(INFER, model_name=MODEL, **texts("a" * 60, "hello", raw=True))
    assert (contents.model_name, contents.model_version, contents.id) == (MODEL, "7", "7")
    for answer in (contents, raw):
        assert [(output.name, output.datatype, list(output.shape)) for output in answer.outputs] == [
            ("probabilities", "FP32", [2, 6]),
            ("decisions", "BOOL", [2, 6]),
        ]
    probabilities, decisions = contents.outputs
    np.testing.assert_allclose(probabilities.contents.fp32_contents, [0.6] * 6 + [0.05] * 6, rtol=1e-6)
    assert list(decisions.contents.bool_contents) == [True] * 6 + [False] * 6
    np.testing.assert_array_equal(
        np.frombuffer(raw.raw_output_contents[0], "<f4"), probabilities.contents.fp32_contents
    )
    assert raw.raw_output_contents[1] == bytes([1] * 6 + [0] * 6)
    assert not contents.raw_output_contents
    assert {text.language for text in core.texts} == {None}


async def test_a_policy_decides(caller: Any, core: FakeCore, policies: list[Policies]) -> None:
    """It is named in the metadata; the answer's metadata have it, and what decided."""
    ignore = {"words": ["hello"], "labels": ["toxic"]}
    policies.append(Policies.model_validate({"policies": {"forum": {"markup": "bbcode", "ignore": ignore}}}))
    call = caller.call(INFER, policy="forum", model_name=MODEL, **texts("hello " + "a" * 60, "[b]a[/b]"))
    _, decisions = (await call).outputs
    assert list(decisions.contents.bool_contents) == [False] + [True] * 5 + [False] * 6
    assert [text.content for text in core.texts] == ["hello " + "a" * 60, "a"]
    metadata = dict(await call.trailing_metadata())
    assert (metadata["x-policy"], metadata["x-policy-decided-by"]) == ("forum", "list")
    with pytest.raises(grpc.aio.AioRpcError, match="There is no policy 'nothing'") as failure:
        await caller.call(INFER, policy="nothing", model_name=MODEL, **texts("a"))
    assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    core.contract = core.contract.model_copy(update={"precision_curves": {}})
    precise = {"thresholds": {"toxic": {"*": {"precision": 0.9}}}}
    policies.append(Policies.model_validate({"policies": {"forum": precise}}))
    with pytest.raises(grpc.aio.AioRpcError, match="can't be applied to version 7") as failure:
        await caller.call(INFER, policy="forum", model_name=MODEL, **texts("a"))
    assert failure.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_tokens_outputs_and_parameters(caller: Any, core: FakeCore) -> None:
    """Tokens give raw scores; outputs can be chosen; language and timeout are the request's."""
    for kind, field in (("INT32", "int_contents"), ("INT64", "int64_contents")):
        inputs = [
            {"name": name, "datatype": kind, "shape": [1, 4], "contents": {field: values.ravel().tolist()}}
            for name, values in (("input_ids", IDS), ("attention_mask", MASK))
        ]
        answer = await caller.call(INFER, model_name=MODEL, model_version="7", inputs=inputs)
        np.testing.assert_allclose(answer.outputs[0].contents.fp32_contents, [0.03] * 6, rtol=1e-6)
    await caller.call(
        INFER,
        seconds=60,
        model_name=MODEL,
        parameters={"language": {"string_param": "pt-BR"}, "timeout": {"int64_param": 2_000_000}},
        outputs=[{"name": "decisions"}],
        **texts("a"),
    )
    assert core.texts[-1].language == "pt"
    assert core.terms[-1].timeout_seconds == 2


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "inputs"),
        (texts(), "no rows"),
        (texts(""), "is empty"),
        (texts(*"abcdef"), "limit is 5"),
        (texts("a") | {"raw_input_contents": [b"", b""]}, "2 elements; there are 1 inputs"),
        (texts("a") | {"raw_input_contents": [b"\x09\x00\x00\x00a"]}, "not UTF-8 texts with lengths"),
        (texts("a") | {"outputs": [{"name": "logits"}]}, "no output 'logits'"),
        (
            texts("a")
            | {"outputs": [{"name": "decisions", "parameters": {"classification": {"int64_param": 2}}}]},
            "classification",
        ),
        (texts("a") | {"parameters": {"language": {"string_param": "?"}}}, "parameters.language"),
        ({"inputs": [{"name": "text", "datatype": "FP32", "shape": [1]}]}, "must be BYTES"),
        ({"inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}]}, "shape"),
        ({"inputs": texts("a")["inputs"] * 2}, "twice"),
    ],
)
async def test_bad_requests_say_what_is_wrong(caller: Any, fields: dict[str, Any], says: str) -> None:
    """Each is an invalid argument."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await caller.call(INFER, model_name=MODEL, **fields)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert says in (caught.value.details() or "")


async def test_health_and_metadata(caller: Any, core: FakeCore) -> None:
    """A model that isn't served isn't ready; its metadata aren't found."""
    assert (await caller.call(f"{SERVICE}/ServerLive")).live
    assert (await caller.call(f"{SERVICE}/ServerMetadata")).name == "toxic-inference"
    metadata = await caller.call(f"{SERVICE}/ModelMetadata", name=MODEL)
    assert (list(metadata.versions), metadata.inputs[0].name) == (["7"], "text")
    assert [list(output.shape) for output in metadata.outputs] == [[-1, 6], [-1, 6]]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await caller.call(f"{SERVICE}/ModelMetadata", name="other")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND

    async def ready() -> list[bool]:
        return [
            (await caller.call(f"{SERVICE}/ServerReady")).ready,
            (await caller.call(f"{SERVICE}/ModelReady", name=MODEL)).ready,
            (await caller.call(f"{SERVICE}/ModelReady", name=MODEL, version="8")).ready,
            (await caller.call(f"{SERVICE}/ModelReady", name="other")).ready,
        ]

    assert await ready() == [True, True, False, False]
    core.ready = False
    assert await ready() == [False, False, False, False]


async def test_a_content_type_says_how_texts_are_written(caller: Any, core: FakeCore) -> None:
    """A tensor's parameter, as over HTTP."""
    request = texts("aMOp")
    request["inputs"][0]["parameters"] = {"content_type": {"string_param": "base64"}}
    await caller.call(INFER, model_name=MODEL, **request)
    assert [text.content for text in core.texts] == ["hé"]


async def test_metadata_have_what_the_answer_lacks(caller: Any) -> None:
    """A text that the vocabulary lacks, and a language that the model wasn't evaluated for."""
    language = {"language": {"string_param": "sw"}}
    call = caller.call(INFER, model_name=MODEL, parameters=language, **texts("hello", UNREAD))
    await call
    metadata = dict(await call.trailing_metadata())
    assert (metadata["x-low-confidence-texts"], metadata["x-unevaluated-languages"]) == ("1", "sw")


async def test_extensions(caller: Any) -> None:
    """The index, the configuration and the statistics, of the model or of one version."""
    index = await caller.call(f"{SERVICE}/RepositoryIndex", ready=True)
    assert [(entry.name, entry.version, entry.state) for entry in index.models] == [(MODEL, "7", "READY")]
    config = (await caller.call(f"{SERVICE}/ModelConfig", name=MODEL)).config
    assert (config.name, list(config.input[0].dims)) == (MODEL, [-1])
    for asked in ({}, {"name": MODEL}, {"name": MODEL, "version": "7"}):
        (found,) = (await caller.call(f"{SERVICE}/ModelStatistics", **asked)).model_stats
        assert (found.version, found.inference_count) == ("7", 0)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await caller.call(f"{SERVICE}/ModelStatistics", name=MODEL, version="8")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def stream(caller: Any, requests: AsyncIterator[Any]) -> Any:
    """Start a stream."""
    return caller.channel.stream_stream(
        f"/{SERVICE}/ModelStreamInfer",
        request_serializer=lambda request: request.SerializeToString(),
        response_deserializer=message_class("inference.ModelStreamInferResponse").FromString,
    )(requests)


def request(number: int, text: str) -> Any:
    """Return the message of one request."""
    return message_class("inference.ModelInferRequest")(model_name=MODEL, id=str(number), **texts(text))


async def test_a_stream_is_answered_in_order_and_an_error_ends_nothing(caller: Any, metric: Any) -> None:
    """More messages than are answered at a time; one of them can't be scored."""

    async def requests() -> AsyncIterator[Any]:
        for number in range(100):
            yield request(number, "" if number == 50 else "hello")

    answers = [answer async for answer in stream(caller, requests())]
    assert [answer.infer_response.id for answer in answers] == [
        "" if number == 50 else str(number) for number in range(100)
    ]
    assert "is empty" in answers[50].error_message
    labels = {"door": "open_inference_grpc", "route": f"/{SERVICE}/ModelStreamInfer", "method": "POST"}
    assert metric("toxic_inference_requests_total", **labels, status="200") == 99
    assert metric("toxic_inference_requests_total", **labels, status="422") == 1


async def test_messages_of_a_stream_are_answered_side_by_side_and_end_with_it(
    caller: Any, core: FakeCore, until: Any
) -> None:
    """One that takes long doesn't keep the next from the model; a caller that leaves cancels all."""
    core.held = asyncio.Event()

    async def requests() -> AsyncIterator[Any]:
        for number in range(3):
            yield request(number, "hello")
        await asyncio.Event().wait()

    call = stream(caller, requests())
    await until(lambda: core.leases == 3)
    call.cancel()
    await until(lambda: core.leases == 0)
    assert core.cancelled
