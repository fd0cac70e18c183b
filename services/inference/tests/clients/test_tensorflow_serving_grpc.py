"""TensorFlow Serving's client library and TensorFlow's tensors, unmodified."""

from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

pytestmark = pytest.mark.slow

MODEL = "toxic-comments"


@pytest.fixture
def channel(grpc_address: str) -> Iterator[grpc.Channel]:
    """A channel to the service."""
    with grpc.insecure_channel(grpc_address) as channel:
        yield channel


@pytest.mark.parametrize(
    "inputs",
    [
        {"input_ids": [[2, 5, 3, 0]], "attention_mask": [[1, 1, 1, 0]]},
        {"text": ["you are a stupid idiot", "have a lovely day"]},
    ],
)
def test_predict_gives_the_scores_of_rest(channel: grpc.Channel, address: str, inputs: Any) -> None:
    """The same numbers, in a tensor that TensorFlow reads."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = MODEL
    request.model_spec.signature_name = "serving_default"
    for name, values in inputs.items():
        kind = tf.string if name == "text" else tf.int32
        request.inputs[name].CopyFrom(tf.make_tensor_proto(values, dtype=kind))
    answer = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=60)
    rest = httpx.post(f"{address}/v1/models/{MODEL}:predict", json={"inputs": inputs}, timeout=60).json()
    np.testing.assert_allclose(tf.make_ndarray(answer.outputs["scores"]), rest["outputs"], rtol=1e-6)
    assert answer.model_spec.version.value == 1


def test_status_and_metadata(channel: grpc.Channel) -> None:
    """The version is available, and its signature has the tensors that Predict takes."""
    status = get_model_status_pb2.GetModelStatusRequest()
    status.model_spec.name = MODEL
    found = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(status).model_version_status
    assert [(each.version, each.state) for each in found] == [
        (1, get_model_status_pb2.ModelVersionStatus.AVAILABLE)
    ]
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = MODEL
    metadata = prediction_service_pb2_grpc.PredictionServiceStub(channel).GetModelMetadata(request).metadata
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert metadata["signature_def"].Unpack(signatures)
    assert signatures.signature_def["serving_default"].inputs["input_ids"].dtype == tf.int32.as_datatype_enum


def test_errors_are_statuses(channel: grpc.Channel) -> None:
    """An unknown model is not found, and a method without a signature isn't there."""
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "other"
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(request)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    classify: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
        "/tensorflow.serving.PredictionService/Classify"
    )
    with pytest.raises(grpc.RpcError) as caught:
        classify(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
