"""The Open Inference Protocol for the one model: version 2 of github.com/kserve/open-inference-protocol.

`/v2/…`: health, metadata and infer, for KServe's and Triton's clients, with Triton's extensions for binary
tensors, statistics, model configuration and the index of the repository, and MLServer's content types.

Invariant: answers and errors are the protocol's; every answer to infer names the version that gave it.
"""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from toxic_inference import __version__
from toxic_inference.doors.open_inference.describing import (
    describe_config,
    describe_index,
    describe_model,
    describe_statistics,
    is_ready,
)
from toxic_inference.doors.open_inference.inference import answer
from toxic_inference.doors.open_inference.messages import (
    Index,
    IndexRequest,
    InferAnswer,
    InferRequest,
    Live,
    ModelConfig,
    ModelMetadata,
    ModelNames,
    ModelStatistics,
    Ready,
    ServerMetadata,
)
from toxic_inference.doors.open_inference.tensors import Tensor, as_output, with_data
from toxic_inference.http.backend import Backend
from toxic_inference.http.body import parse_json, read_body, validate
from toxic_inference.http.door import JSON_TYPE, Access, Door, Operation, json_response
from toxic_inference.http.error_shapes import MESSAGE
from toxic_inference.http.errors import MalformedRequestError
from toxic_inference.http.rows import most_token_values
from toxic_inference.http.terms import target_of
from toxic_inference.serving.interfaces import Target

_HEADER_LENGTH = "inference-header-content-length"
_BINARY_TYPE = "application/octet-stream"


SERVER = ServerMetadata(
    name="toxic-inference",
    version=__version__,
    extensions=["binary_tensor_data", "model_configuration", "model_repository", "statistics"],
)


async def server(_: Request, __: Backend) -> Response:
    """Name, version and extensions."""
    return json_response(SERVER)


async def server_live(_: Request, __: Backend) -> Response:
    """200 while the process can answer."""
    return json_response(Live(live=True))


async def server_ready(_: Request, backend: Backend) -> Response:
    """200 once a version answers; 400 before, as the protocol defines."""
    return _ready(Ready(ready=backend.ready()))


async def model_ready(request: Request, backend: Backend) -> Response:
    """200 if the version would answer; 400 if it is not loaded yet."""
    target = target_of(request, model_name=backend.model_name)
    return _ready(Ready(name=backend.model_name, ready=is_ready(backend, target)))


def _ready(answer: Ready) -> Response:
    return json_response(answer, HTTPStatus.OK if answer.ready else HTTPStatus.BAD_REQUEST)


async def metadata(request: Request, backend: Backend) -> Response:
    """Inputs, outputs, and the known versions."""
    target = target_of(request, model_name=backend.model_name)
    return json_response(describe_model(backend, target))


async def config(request: Request, backend: Backend) -> Response:
    """The tensors and the labels, as Triton's model configuration."""
    target = target_of(request, model_name=backend.model_name)
    return json_response(describe_config(backend, target))


async def statistics(request: Request, backend: Backend) -> Response:
    """Totals per version since it was loaded, from the metrics."""
    named = "name" in request.path_params
    target = target_of(request, model_name=backend.model_name) if named else Target()
    return json_response(describe_statistics(backend, target))


async def models(_: Request, backend: Backend) -> Response:
    """The name of the model."""
    return json_response(ModelNames(models=[backend.model_name]))


async def index(request: Request, backend: Backend) -> Response:
    """The known versions and their states."""
    body = await request.body()
    asked = validate(IndexRequest, parse_json(body)) if body else IndexRequest()
    return json_response(describe_index(backend, only_ready=asked.ready))


async def infer(request: Request, backend: Backend) -> Response:
    """Calibrated probabilities and decisions of texts, or the raw scores of tokens."""
    target = target_of(request, model_name=backend.model_name)
    given, limits, threads = request.headers.get(_HEADER_LENGTH), backend.limits, backend.threads.read

    def read(body: bytes) -> tuple[InferRequest, dict[str, Tensor]]:
        head, raw = _parts(body, given)
        asked = validate(InferRequest, parse_json(head, most_values=most_token_values(limits)))
        return asked, with_data(asked.inputs, raw)

    asked, tensors = await read_body(request, threads, read)
    answered = await answer(request, backend, target, asked=asked, tensors=tensors)
    binary = asked.parameters.binary_data_output
    outputs = [
        as_output(
            output.name,
            values,
            binary=binary if output.parameters.binary_data is None else output.parameters.binary_data,
        )
        for output, values in answered.outputs
    ]
    message = InferAnswer(
        model_name=backend.model_name,
        model_version=answered.version,
        id=asked.id,
        outputs=[tensor for tensor, _ in outputs],
    )
    json, tail = message.model_dump_json(exclude_none=True).encode(), b"".join(data for _, data in outputs)
    headers = dict(answered.headers)
    if not tail:
        return Response(json, media_type=JSON_TYPE, headers=headers)
    headers[_HEADER_LENGTH] = str(len(json))
    return Response(json + tail, media_type=_BINARY_TYPE, headers=headers)


def _parts(body: bytes, given: str | None) -> tuple[bytes, bytes]:
    """Return the body's JSON, of which the length may be given, and the bytes after it."""
    if given is None:
        return body, b""
    if not given.isascii() or not given.isdecimal() or int(given) > len(body):
        raise MalformedRequestError("Inference-Header-Content-Length is not the length of the body's JSON.")
    return body[: int(given)], body[int(given) :]


def _of_model(path: str) -> tuple[Operation, ...]:
    return (
        Operation("GET", path, metadata, answers={200: ModelMetadata}),
        Operation("GET", f"{path}/ready", model_ready, answers={200: Ready}),
        Operation("GET", f"{path}/config", config, answers={200: ModelConfig}),
        Operation("GET", f"{path}/stats", statistics, answers={200: ModelStatistics}),
        Operation("POST", f"{path}/infer", infer, scores=True, body=InferRequest, answers={200: InferAnswer}),
    )


OPEN_INFERENCE = Door(
    name="open_inference",
    title="Open Inference Protocol",
    clients="clients of KServe and Triton",
    prefixes=("/v2",),
    errors=MESSAGE,
    operations=(
        Operation("GET", "/v2", server, access=Access.OPEN, answers={200: ServerMetadata}),
        Operation("GET", "/v2/health/live", server_live, access=Access.OPEN, probe=True, answers={200: Live}),
        Operation(
            "GET", "/v2/health/ready", server_ready, access=Access.OPEN, probe=True, answers={200: Ready}
        ),
        Operation("GET", "/v2/", server, access=Access.OPEN, documented=False),
        Operation("GET", "/v2/models", models, answers={200: ModelNames}),
        Operation("GET", "/v2/models/stats", statistics, answers={200: ModelStatistics}),
        Operation("POST", "/v2/repository/index", index, body=IndexRequest, answers={200: Index}),
        *_of_model("/v2/models/{name}"),
        *_of_model("/v2/models/{name}/versions/{version}"),
    ),
)
