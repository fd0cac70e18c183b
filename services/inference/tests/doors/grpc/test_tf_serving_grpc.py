from typing import Any

import grpc
import numpy as np
import pytest

from toxic_core.errors import ContractError
from toxic_inference.rpc.messages import message_class
from toxic_inference.serving.versions.states import State, VersionStatus
from toxic_testing.inference.core import FakeCore

pytestmark = pytest.mark.anyio

PREDICT = "tensorflow.serving.PredictionService/Predict"
METADATA = "tensorflow.serving.PredictionService/GetModelMetadata"
STATUS = "tensorflow.serving.ModelService/GetModelStatus"
MODEL = {"name": "toxic-comments"}


def tensor(dtype: int, *sizes: int, **values: Any) -> Any:
    """Return a tensor of a type with a shape."""
    shape = {"dim": [{"size": size} for size in sizes]}
    return message_class("tensorflow.TensorProto")(dtype=dtype, tensor_shape=shape, **values)


def tokens(*rows: list[int]) -> Any:
    """Return rows as int32 in bytes, as clients send arrays."""
    values = np.array(rows, np.int32)
    return tensor(3, *values.shape, tensor_content=values.tobytes())


def texts(*given: str) -> Any:
    """Return texts."""
    return tensor(7, len(given), string_val=[text.encode() for text in given])


@pytest.mark.parametrize(
    ("ids", "mask"),
    [
        (tokens([2, 5, 3, 0], [2, 6, 7, 3]), tokens([1, 1, 1, 0], [1, 1, 1, 1])),
        (
            tensor(9, 2, 4, int64_val=[2, 5, 3, 0, 2, 6, 7, 3]),
            tensor(3, 2, 4, int_val=[1, 1, 1, 0, 1]),  # the last value is repeated
        ),
    ],
)
async def test_tokens_are_scored_as_over_rest(caller: Any, core: FakeCore, ids: Any, mask: Any) -> None:
    """As bytes or as numbers, with a mask; the padding isn't read."""
    inputs = {"input_ids": ids, "attention_mask": mask}
    answer = await caller.call(
        PREDICT, model_spec={**MODEL, "signature_name": "serving_default"}, inputs=inputs
    )
    scores = answer.outputs["scores"]
    assert (scores.dtype, [dim.size for dim in scores.tensor_shape.dim]) == (1, [2, 6])
    np.testing.assert_allclose(scores.float_val, [0.03] * 6 + [0.04] * 6, rtol=1e-6)
    assert (answer.model_spec.version.value, answer.model_spec.signature_name) == (7, "serving_default")
    np.testing.assert_array_equal(core.rows[0].ids, [2, 5, 3])


async def test_texts_may_stand_for_tokens(caller: Any) -> None:
    """Texts get the same raw scores; the trailing metadata name those that were not read to their end."""
    call = caller.call(PREDICT, model_spec=MODEL, inputs={"text": texts("abc", "x" * 95)})
    np.testing.assert_allclose((await call).outputs["scores"].float_val, [0.03] * 6 + [0.95] * 6, rtol=1e-6)
    assert dict(await call.trailing_metadata())["x-truncated-texts"] == "1"


@pytest.mark.parametrize("spec", [{"version": {"value": 7}}, {"version_label": "champion"}])
async def test_a_version_or_label_can_be_asked_for(caller: Any, spec: dict[str, Any]) -> None:
    """By number and by alias; others aren't found."""
    for path, fields in (
        (PREDICT, {"inputs": {"text": texts("a")}}),
        (METADATA, {"metadata_field": ["signature_def"]}),
        (STATUS, {}),
    ):
        await caller.call(path, model_spec=MODEL | spec, **fields)
        for other in ({"version": {"value": 8}}, {"version_label": "nobody"}, {"name": "other"}):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await caller.call(path, model_spec=MODEL | other, **fields)
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "non-empty list"),
        ({"inputs": {"text": texts()}}, "non-empty list"),
        ({"inputs": {"text": texts("")}}, "is empty"),
        ({"inputs": {"text": texts(*"abcdef")}}, "limit is 5"),
        ({"inputs": {"text": tensor(7, 1, string_val=[b"\xff"])}}, "UTF-8"),
        ({"inputs": {"text": tensor(7, 2, string_val=[b"a"])}}, "1 values"),
        ({"inputs": {"text": tensor(1, 1, float_val=[0.5])}}, "DT_STRING"),
        ({"inputs": {"input_ids": tokens([1])}}, "input_ids"),
        ({"inputs": {"input_ids": tokens([1]), "attention_mask": tokens([1], [1])}}, "1 rows"),
        ({"inputs": {"input_ids": tokens([-1]), "attention_mask": tokens([1])}}, "negative"),
        ({"inputs": {"input_ids": tensor(3, 1, int_val=[1]), "attention_mask": tokens([1])}}, "rows, tokens"),
        ({"inputs": {"input_ids": tensor(3, 1, 1, tensor_content=b"123")}}, "whole numbers"),
        ({"inputs": {"input_ids": tensor(3, 2, 2, tensor_content=b"1234")}}, "1 values"),
        ({"inputs": {"input_ids": tensor(3, -1, -1, int_val=[1])}}, "shape"),
        ({"inputs": {"input_ids": tensor(3, 2**40, 2**20, int_val=[1])}}, "1 values"),
        ({"inputs": {"text": texts("a")}, "output_filter": ["logits"]}, "no output 'logits'"),
        (
            {"inputs": {"text": texts("a")}, "model_spec": MODEL | {"signature_name": "other"}},
            "no signature 'other'",
        ),
    ],
)
async def test_bad_requests_say_what_is_wrong(caller: Any, fields: dict[str, Any], says: str) -> None:
    """Each is an invalid argument; a shape beyond memory is none that is allocated."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await caller.call(PREDICT, **{"model_spec": MODEL} | fields)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert says in (caught.value.details() or "")


async def test_the_metadata_are_the_contracts_signature(caller: Any) -> None:
    """Names, types and shapes, packed as TensorFlow Serving packs them; other fields are refused."""
    answer = await caller.call(METADATA, model_spec=MODEL, metadata_field=["signature_def"])
    packed = answer.metadata["signature_def"]
    assert packed.type_url == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    found = message_class("tensorflow.serving.SignatureDefMap")()
    assert packed.Unpack(found)
    signature = found.signature_def["serving_default"]
    assert {name: info.dtype for name, info in signature.inputs.items()} == {
        "input_ids": 3,
        "attention_mask": 3,
    }
    assert [dim.size for dim in signature.outputs["scores"].tensor_shape.dim] == [-1, 6]
    for wrong in ([], ["saved_model"]):
        with pytest.raises(grpc.aio.AioRpcError, match="metadata_field must be signature_def"):
            await caller.call(METADATA, model_spec=MODEL, metadata_field=wrong)


async def test_the_status_shows_every_version_and_its_error(caller: Any, core: FakeCore) -> None:
    """A version that failed has ended with its error."""
    core.known = [
        VersionStatus("9", State.FAILED, ContractError("contract.json is missing"), ()),
        VersionStatus("7", State.AVAILABLE, None, ("champion",)),
    ]
    answer = await caller.call(STATUS, model_spec=MODEL)
    assert [
        (each.version, each.state, each.status.error_code, each.status.error_message)
        for each in answer.model_version_status
    ] == [(9, 50, 9, "contract.json is missing"), (7, 30, 0, "")]
