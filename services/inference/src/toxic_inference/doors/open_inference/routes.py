"""The Open Inference Protocol for the one model: version 2 of github.com/kserve/open-inference-protocol.

Owns `/v2/…`: health, metadata and infer, with Triton's binary tensor extension. What speaks it, such as
KServe's and Triton's clients, asks here as it asks any other server.

Invariant: answers and errors are the protocol's; every answer to infer names the version that gave it.
"""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from toxic_core.errors import NoVersionReadyError, UnknownModelError
from toxic_inference import __version__
from toxic_inference.doors.open_inference.inference import INPUTS, OUTPUTS, parse_inputs
from toxic_inference.doors.open_inference.messages import (
    InferAnswer,
    InferRequest,
    Live,
    ModelMetadata,
    OutputRequest,
    ProtocolError,
    Ready,
    ServerMetadata,
)
from toxic_inference.doors.open_inference.tensors import as_output, with_data
from toxic_inference.http.backend import MODEL_VERSION_HEADER, Doors
from toxic_inference.http.body import JSON_TYPE, parse_json, unless_departed, validate
from toxic_inference.http.errors import InvalidRequestError, MalformedRequestError
from toxic_inference.http.schemas import openapi_body
from toxic_inference.http.targets import ReadTarget, champion, version_in_path
from toxic_inference.http.terms import terms_of
from toxic_inference.serving.interfaces import Target

REQUEST_MODELS = (InferRequest,)

_HEADER_LENGTH = "inference-header-content-length"
_BINARY_TYPE = "application/octet-stream"
_EXAMPLE = {
    "inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["Have a lovely day."]}],
    "parameters": {"language": "en"},
}
_TARGETS: tuple[tuple[str, str, ReadTarget], ...] = (
    ("", "", champion),
    ("/versions/{version}", " of a version", version_in_path),
)


def open_inference_router(doors: Doors) -> APIRouter:
    """Return the routes of the Open Inference Protocol."""
    router = APIRouter(
        tags=["Open Inference Protocol"],
        responses={"4XX": {"model": ProtocolError, "description": "It can't be answered."}},
    )
    _add_server(router, doors)
    for path, of, target in _TARGETS:
        _add_model(router, doors, path=path, of=of, read_target=target)
    return router


def _add_server(router: APIRouter, doors: Doors) -> None:
    @router.get("/v2", summary="Server metadata", response_model=ServerMetadata)
    async def server() -> Response:
        """Name, version and extensions."""
        return _json(
            ServerMetadata(name="toxic-inference", version=__version__, extensions=["binary_tensor_data"])
        )

    @router.get("/v2/health/live", summary="Server live", response_model=Live)
    async def live() -> Response:
        """200 while the process can answer at all."""
        return _json(Live(live=True))

    @router.get("/v2/health/ready", summary="Server ready", response_model=Ready)
    async def ready() -> Response:
        """200 once a version answers; 400 before, as the protocol has it."""
        return _ready(Ready(ready=doors.status.ready))


def _add_model(router: APIRouter, doors: Doors, *, path: str, of: str, read_target: ReadTarget) -> None:
    ReadFrom = Annotated[Target, Depends(read_target)]  # noqa: N806  a type

    @router.get(f"/v2/models/{{name}}{path}", summary=f"Metadata{of}", response_model=ModelMetadata)
    async def metadata(name: str, target: ReadFrom) -> Response:
        """Inputs, outputs, and the versions that are known."""
        return _metadata(doors, name=name, target=target)

    @router.get(f"/v2/models/{{name}}{path}/ready", summary=f"Readiness{of}", response_model=Ready)
    async def ready(name: str, target: ReadFrom) -> Response:
        """200 where it would answer; 400 where it isn't loaded yet."""
        _check_name(doors, name)
        try:
            with doors.scorer.session(target):
                return _ready(Ready(name=name, ready=True))
        except NoVersionReadyError:
            return _ready(Ready(name=name, ready=False))

    @router.post(
        f"/v2/models/{{name}}{path}/infer",
        summary=f"Inference{of}",
        response_model=InferAnswer,
        openapi_extra=openapi_body(InferRequest, _EXAMPLE),
    )
    async def infer(request: Request, name: str, target: ReadFrom) -> Response:
        """Calibrated probabilities and decisions of texts, or the raw scores of tokens."""
        _check_name(doors, name)
        return await _infer(request, doors, target)


def _json(answer: BaseModel, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(answer.model_dump_json(exclude_none=True), status_code=status, media_type=JSON_TYPE)


def _ready(answer: Ready) -> Response:
    return _json(answer, HTTPStatus.OK if answer.ready else HTTPStatus.BAD_REQUEST)


def _check_name(doors: Doors, name: str) -> None:
    if name != doors.model_name:
        raise UnknownModelError(f"There is no model {name!r}; this service serves {doors.model_name!r}.")


def _metadata(doors: Doors, *, name: str, target: Target) -> Response:
    _check_name(doors, name)
    with doors.scorer.session(target) as session:
        versions = [target.version] if target.version else [s.version for s in doors.status.statuses()]
        answer = ModelMetadata(
            name=name,
            versions=versions or [session.version],
            platform="tensorflow_savedmodel",
            inputs=list(INPUTS),
            outputs=list(OUTPUTS),
        )
    return _json(answer)


async def _infer(request: Request, doors: Doors, target: Target) -> Response:
    head, raw = await _parts(request)
    asked = validate(InferRequest, parse_json(head))
    tensors = with_data(asked.inputs, raw)
    microseconds = asked.parameters.timeout
    terms = terms_of(request, timeout_seconds=microseconds / 1e6 if microseconds else None)
    with doors.scorer.session(target, terms) as session:
        max_tokens = session.contract.max_tokens
        inputs = parse_inputs(asked, tensors, limits=doors.limits, max_tokens=max_tokens)
        values = await unless_departed(request, inputs.infer(session))
        wanted = asked.outputs or [OutputRequest(name=name) for name in values]
        binary = asked.parameters.binary_data_output
        if unknown := next((output.name for output in wanted if output.name not in values), None):
            raise InvalidRequestError(f"There is no output {unknown!r}; there are {', '.join(values)}.")
        if any(output.parameters.classification for output in wanted):
            raise InvalidRequestError("The classification extension isn't spoken here.")
        outputs = [
            as_output(
                output.name,
                values[output.name],
                binary=binary if output.parameters.binary_data is None else output.parameters.binary_data,
            )
            for output in wanted
        ]
        answer = InferAnswer(
            model_name=doors.model_name,
            model_version=session.version,
            id=asked.id,
            outputs=[tensor for tensor, _ in outputs],
        )
    return _answer(answer, b"".join(data for _, data in outputs))


async def _parts(request: Request) -> tuple[bytes, bytes]:
    """Return the body's JSON, and the bytes behind it."""
    body = await request.body()
    given = request.headers.get(_HEADER_LENGTH)
    if given is None:
        return body, b""
    if not given.isascii() or not given.isdecimal() or int(given) > len(body):
        raise MalformedRequestError("Inference-Header-Content-Length isn't the length of the body's JSON.")
    return body[: int(given)], body[int(given) :]


def _answer(answer: InferAnswer, raw: bytes) -> Response:
    head = answer.model_dump_json(exclude_none=True).encode()
    headers = {MODEL_VERSION_HEADER: answer.model_version}
    if not raw:
        return Response(head, media_type=JSON_TYPE, headers=headers)
    headers[_HEADER_LENGTH] = str(len(head))
    return Response(head + raw, media_type=_BINARY_TYPE, headers=headers)
