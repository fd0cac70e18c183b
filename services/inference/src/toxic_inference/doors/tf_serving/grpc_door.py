"""TensorFlow Serving's gRPC services for the one model: `PredictionService` and `ModelService`.

As the REST API, Predict returns the raw scores of the signature, and takes texts (`text`, DT_STRING) in place
of tokens. Methods for which the model has no signature are unimplemented, as is reloading the configuration.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from google.protobuf.json_format import ParseDict
from starlette.requests import Request
from starlette.responses import Response

from toxic_core.contract import SCORES
from toxic_inference.doors.tf_serving.answers import describe_signature, describe_statuses, score
from toxic_inference.http.backend import MODEL_VERSION_HEADER, Backend
from toxic_inference.http.door import Door
from toxic_inference.http.errors import InvalidRequestError
from toxic_inference.http.rows import most_token_values
from toxic_inference.http.terms import target_in
from toxic_inference.rpc.door import STATUS, message_response, method, read_message
from toxic_inference.rpc.messages import message_class
from toxic_inference.serving.interfaces import Target
from toxic_model.errors import InvalidTensorError

_PACKAGE = "tensorflow.serving"
_SIGNATURE_FIELD = "signature_def"
_FLOAT, _STRING = 1, 7  # of tensorflow.DataType
_INTEGERS: dict[int, tuple[str, np.dtype[np.signedinteger[Any]]]] = {
    3: ("int_val", np.dtype("<i4")),
    9: ("int64_val", np.dtype("<i8")),
}
"""Where a TensorProto of DT_INT32 or DT_INT64 has its values."""

(
    _PredictRequest,
    _PredictResponse,
    _MetadataRequest,
    _MetadataResponse,
    _SignatureMap,
    _StatusRequest,
    _Status,
) = (
    message_class(f"{_PACKAGE}.{name}")
    for name in (
        "PredictRequest",
        "PredictResponse",
        "GetModelMetadataRequest",
        "GetModelMetadataResponse",
        "SignatureDefMap",
        "GetModelStatusRequest",
        "GetModelStatusResponse",
    )
)


async def predict(request: Request, backend: Backend) -> Response:
    """Raw scores of the signature, for texts or tokens."""
    most = most_token_values(backend.limits)
    asked, inputs = await read_message(
        request,
        backend,
        _PredictRequest,
        lambda asked: (
            asked,
            {name: _values(tensor, name, most=most) for name, tensor in asked.inputs.items()},
        ),
    )
    if unknown := set(asked.output_filter) - {SCORES}:
        raise InvalidRequestError(f"There is no output {min(unknown)!r}; there is {SCORES}.")
    body = {"inputs": inputs, "signature_name": asked.model_spec.signature_name}
    predicted = await score(request, backend, _target(asked, backend), body)
    answer = _PredictResponse(model_spec=_spec(asked, predicted.version))
    answer.outputs[SCORES].dtype = _FLOAT
    for size in predicted.scores.shape:
        answer.outputs[SCORES].tensor_shape.dim.add(size=size)
    answer.outputs[SCORES].float_val.extend(predicted.scores.ravel().tolist())
    return message_response(answer, headers=predicted.headers)


async def metadata(request: Request, backend: Backend) -> Response:
    """The signature: names, types and shapes of inputs and outputs."""
    asked = await read_message(request, backend, _MetadataRequest)
    if list(asked.metadata_field) != [_SIGNATURE_FIELD]:
        raise InvalidRequestError(f"metadata_field must be {_SIGNATURE_FIELD}.", field="metadata_field")
    with backend.scorer.session(_target(asked, backend)) as session:
        answer = _MetadataResponse(model_spec=_spec(asked, session.version))
        answer.metadata[_SIGNATURE_FIELD].Pack(ParseDict(describe_signature(session), _SignatureMap()))
        return message_response(answer, headers={MODEL_VERSION_HEADER: session.version})


async def status(request: Request, backend: Backend) -> Response:
    """The state of every version, or of the one that is asked for, with the error of failed ones."""
    asked = await read_message(request, backend, _StatusRequest)
    statuses = describe_statuses(backend, _target(asked, backend))
    # The message has no place for what computes a version.
    return message_response(ParseDict(statuses, _Status(), ignore_unknown_fields=True))


def _target(asked: Any, backend: Backend) -> Target:
    spec = asked.model_spec
    version = str(spec.version.value) if spec.HasField("version") else None
    target = Target(version=version, alias=spec.version_label or None)
    return target_in(spec.name, target, model_name=backend.model_name)


def _spec(asked: Any, version: str) -> dict[str, object]:
    """Return the model spec of an answer; only versions that are numbers have a place in it."""
    spec = {"name": asked.model_spec.name, "signature_name": asked.model_spec.signature_name}
    return spec | ({"version": {"value": int(version)}} if version.isdecimal() else {})


def _values(tensor: Any, name: str, *, most: int) -> list[Any]:
    """Return a tensor as it is in the column form of the REST API.

    Args:
        tensor: a `TensorProto`.
        name: its name, for error messages.
        most: most values of tokens.
    """
    shape = [dimension.size for dimension in tensor.tensor_shape.dim]
    if tensor.dtype == _STRING:
        try:
            texts = [text.decode() for text in tensor.string_val]
        except UnicodeDecodeError as error:
            raise InvalidTensorError(f"{name} must contain UTF-8 texts.") from error
        _check_size(len(texts), shape, name)
        return texts
    if tensor.dtype not in _INTEGERS or len(shape) != 2:  # noqa: PLR2004  a matrix
        raise InvalidTensorError(
            f"{name} must be DT_STRING, or DT_INT32 or DT_INT64 with a shape [rows, tokens]."
        )
    field, kind = _INTEGERS[tensor.dtype]
    raw, size = tensor.tensor_content, prod(shape)
    if len(raw) % kind.itemsize:
        raise InvalidTensorError(f"{name}: the bytes of tensor_content are not whole numbers.")
    values = np.frombuffer(raw, kind) if raw else np.array(getattr(tensor, field), kind)
    if not raw and 0 < len(values) < size <= most:
        values = np.pad(values, (0, size - len(values)), mode="edge")  # TensorFlow repeats the last value
    _check_size(len(values), shape, name)
    rows: list[list[int]] = values.reshape(shape).tolist()
    return rows


def _check_size(values: int, shape: Sequence[int], name: str) -> None:
    if min(shape, default=0) < 0 or values != prod(shape):
        raise InvalidTensorError(f"{name} has {values:,} values, which don't fit its shape {shape}.")


TF_SERVING_GRPC = Door(
    name="tf_serving_grpc",
    title="TensorFlow Serving over gRPC",
    clients="clients of TensorFlow Serving's gRPC services",
    prefixes=(f"/{_PACKAGE}.",),
    errors=STATUS,
    operations=(
        method(f"/{_PACKAGE}.PredictionService/Predict", predict, scores=True),
        method(f"/{_PACKAGE}.PredictionService/GetModelMetadata", metadata),
        method(f"/{_PACKAGE}.ModelService/GetModelStatus", status),
    ),
)
