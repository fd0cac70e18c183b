"""The Open Inference Protocol over gRPC, with Triton's streaming infer: `inference.GRPCInferenceService`.

Invariant: a request is read as the same request in JSON with bytes after it, by the code of the HTTP door.
"""

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from google.protobuf.json_format import ParseDict
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from toxic_core.errors import UnknownModelError
from toxic_inference.doors.open_inference.describing import (
    describe_config,
    describe_index,
    describe_model,
    describe_statistics,
    is_ready,
)
from toxic_inference.doors.open_inference.door import SERVER
from toxic_inference.doors.open_inference.inference import answer
from toxic_inference.doors.open_inference.messages import InferRequest
from toxic_inference.doors.open_inference.tensors import BYTES, DATATYPES, Tensor, with_data
from toxic_inference.http.backend import Backend
from toxic_inference.http.body import validate
from toxic_inference.http.door import Access, Door
from toxic_inference.http.terms import target_in
from toxic_inference.rpc.door import STATUS, message_response, method, read_message
from toxic_inference.rpc.messages import message_class
from toxic_inference.serving.interfaces import Target
from toxic_model.errors import InvalidTensorError

_SERVICE = "/inference.GRPCInferenceService"
_LENGTH = struct.Struct("<I")

_LiveResponse, _ReadyResponse, _ModelReadyRequest, _ModelReadyResponse = (
    message_class(f"inference.{name}")
    for name in ("ServerLiveResponse", "ServerReadyResponse", "ModelReadyRequest", "ModelReadyResponse")
)
_ServerMetadata, _MetadataRequest, _MetadataResponse, _InferRequest, _InferResponse, _StreamResponse = (
    message_class(f"inference.{name}")
    for name in (
        "ServerMetadataResponse",
        "ModelMetadataRequest",
        "ModelMetadataResponse",
        "ModelInferRequest",
        "ModelInferResponse",
        "ModelStreamInferResponse",
    )
)
_ConfigRequest, _ConfigResponse, _StatisticsRequest, _StatisticsResponse, _IndexRequest, _IndexResponse = (
    message_class(f"inference.{name}{kind}")
    for name in ("ModelConfig", "ModelStatistics", "RepositoryIndex")
    for kind in ("Request", "Response")
)


async def server(_: Request, __: Backend) -> Response:
    """Name, version and extensions."""
    return message_response(_ServerMetadata(name=SERVER.name, version=SERVER.version))


async def server_live(_: Request, __: Backend) -> Response:
    """True while the process can answer."""
    return message_response(_LiveResponse(live=True))


async def server_ready(_: Request, backend: Backend) -> Response:
    """Whether a version answers."""
    return message_response(_ReadyResponse(ready=backend.ready()))


async def model_ready(request: Request, backend: Backend) -> Response:
    """Whether the version would answer; false for a model that isn't served, as by Triton."""
    asked = await read_message(request, backend, _ModelReadyRequest)
    try:
        ready = is_ready(backend, _target(asked.name, asked.version, backend))
    except UnknownModelError:
        ready = False
    return message_response(_ModelReadyResponse(ready=ready))


async def metadata(request: Request, backend: Backend) -> Response:
    """Inputs, outputs, and the known versions."""
    asked = await read_message(request, backend, _MetadataRequest)
    found = describe_model(backend, _target(asked.name, asked.version, backend))
    return message_response(_MetadataResponse(**found.model_dump()))


async def config(request: Request, backend: Backend) -> Response:
    """The tensors and the labels, as Triton's model configuration."""
    asked = await read_message(request, backend, _ConfigRequest)
    found = describe_config(backend, _target(asked.name, asked.version, backend))
    return message_response(ParseDict({"config": found.model_dump()}, _ConfigResponse()))


async def statistics(request: Request, backend: Backend) -> Response:
    """Totals per version since it was loaded, from the metrics."""
    asked = await read_message(request, backend, _StatisticsRequest)
    target = _target(asked.name or backend.model_name, asked.version, backend)
    return message_response(
        ParseDict(describe_statistics(backend, target).model_dump(), _StatisticsResponse())
    )


async def index(request: Request, backend: Backend) -> Response:
    """The known versions and their states."""
    asked = await read_message(request, backend, _IndexRequest)
    found = describe_index(backend, only_ready=asked.ready)
    return message_response(ParseDict({"models": found.model_dump()}, _IndexResponse()))


async def infer(request: Request, backend: Backend) -> Response:
    """Calibrated probabilities and decisions of texts, or the raw scores of tokens."""
    answered, headers = await _infer(request, backend)
    return message_response(answered, headers=headers)


async def stream_infer(request: Request, backend: Backend) -> Response:
    """One message of a stream, as `infer`; an error becomes the answer's `error_message`."""
    answered, headers = await _infer(request, backend)
    return message_response(_StreamResponse(infer_response=answered), headers=headers)


async def _infer(request: Request, backend: Backend) -> tuple[Any, Mapping[str, str]]:
    message, asked, tensors = await read_message(request, backend, _InferRequest, _read)
    target = _target(message.model_name, message.model_version, backend)
    answered = await answer(request, backend, target, asked=asked, tensors=tensors)
    response = _InferResponse(model_name=backend.model_name, model_version=answered.version, id=message.id)
    for output, values in answered.outputs:
        tensor = response.outputs.add(name=output.name, datatype=DATATYPES[values.dtype], shape=values.shape)
        # Contents are answered in the form in which they came.
        if message.raw_input_contents:
            response.raw_output_contents.append(values.tobytes())
        else:
            _fill(tensor.contents, values)
    return response, answered.headers


def _read(message: Any) -> tuple[Any, InferRequest, dict[str, Tensor]]:
    raws = list(message.raw_input_contents) or [_raw(tensor) for tensor in message.inputs]
    if len(raws) != len(message.inputs):
        raise InvalidTensorError(
            f"raw_input_contents has {len(raws)} elements; there are {len(message.inputs)} inputs."
        )
    asked = validate(
        InferRequest,
        {
            "parameters": _parameters(message.parameters),
            "inputs": [
                {
                    "name": tensor.name,
                    "datatype": tensor.datatype,
                    "shape": list(tensor.shape),
                    "parameters": _parameters(tensor.parameters) | {"binary_data_size": len(raw)},
                }
                for tensor, raw in zip(message.inputs, raws, strict=True)
            ],
            "outputs": [
                {"name": output.name, "parameters": _parameters(output.parameters)}
                for output in message.outputs
            ],
        },
    )
    return message, asked, with_data(asked.inputs, b"".join(raws))


def _parameters(given: Mapping[str, Any]) -> dict[str, object]:
    return {
        name: getattr(value, choice)
        for name, value in given.items()
        if (choice := value.WhichOneof("parameter_choice")) is not None
    }


def _raw(tensor: Any) -> bytes:
    """Return the typed contents of a tensor as raw ones."""
    if tensor.datatype == BYTES:
        return b"".join(_LENGTH.pack(len(text)) + text for text in tensor.contents.bytes_contents)
    if tensor.datatype == "INT64":
        return np.array(tensor.contents.int64_contents, "<i8").tobytes()
    return np.array(tensor.contents.int_contents, "<i4").tobytes()


def _fill(contents: Any, values: NDArray[np.generic]) -> None:
    field = contents.bool_contents if values.dtype == np.bool_ else contents.fp32_contents
    field.extend(values.ravel().tolist())


def _target(name: str, version: str, backend: Backend) -> Target:
    return target_in(name, Target(version=version or None), model_name=backend.model_name)


OPEN_INFERENCE_GRPC = Door(
    name="open_inference_grpc",
    title="Open Inference Protocol over gRPC",
    clients="clients of KServe and Triton over gRPC",
    prefixes=(f"{_SERVICE}/",),
    errors=STATUS,
    operations=(
        method(f"{_SERVICE}/ServerLive", server_live, access=Access.OPEN, probe=True),
        method(f"{_SERVICE}/ServerReady", server_ready, access=Access.OPEN, probe=True),
        method(f"{_SERVICE}/ServerMetadata", server, access=Access.OPEN),
        method(f"{_SERVICE}/ModelReady", model_ready),
        method(f"{_SERVICE}/ModelMetadata", metadata),
        method(f"{_SERVICE}/ModelConfig", config),
        method(f"{_SERVICE}/ModelStatistics", statistics),
        method(f"{_SERVICE}/RepositoryIndex", index),
        method(f"{_SERVICE}/ModelInfer", infer, scores=True),
        method(f"{_SERVICE}/ModelStreamInfer", stream_infer, scores=True),
    ),
)
