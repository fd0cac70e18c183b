"""TensorFlow Serving's REST API (https://www.tensorflow.org/tfx/serving/api_rest) for the one model.

Owns `/v1/models/…`: predict in row and column form, version status, metadata, and the refusal of what the
model has no signature for. Answers what TensorFlow
Serving would answer for the same bundle, raw scores of the signature included; texts in place of tensors are
this project's own convenience.

Invariant: answers and errors are to the letter TensorFlow Serving's; the version stands in a header.
"""

from http import HTTPStatus
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from toxic_core.contract import ATTENTION_MASK, INPUT_IDS, SCORES, SIGNATURE
from toxic_core.errors import RegistryUnavailableError, UnknownModelError
from toxic_inference.doors.tf_serving.requests import PredictInputs, parse_predict
from toxic_inference.http.backend import MODEL_VERSION_HEADER, Doors
from toxic_inference.http.body import JSON_TYPE, read_json, unless_departed
from toxic_inference.http.errors import MalformedRequestError
from toxic_inference.http.targets import ReadTarget, champion, label_in_path, version_in_path
from toxic_inference.http.terms import terms_of
from toxic_inference.serving.interfaces import Float32Array, Lane, Session, Target
from toxic_inference.serving.versions.states import State, VersionStatus

_METHOD_NAME = "tensorflow/serving/predict"

# TensorFlow Serving has no state of its own for a version that failed to load: it has ended, with an error.
_STATES = {
    State.NEW: "START",
    State.LOADING: "LOADING",
    State.AVAILABLE: "AVAILABLE",
    State.DRAINING: "UNLOADING",
    State.UNLOADING: "UNLOADING",
    State.FAILED: "END",
    State.ENDED: "END",
}


_TARGETS: tuple[tuple[str, str, ReadTarget], ...] = (
    ("", "", champion),
    ("/versions/{version}", " of a version", version_in_path),
    ("/labels/{label}", " of a label's version", label_in_path),
)
"""Each way to say which version is meant: its part of the path, its part of a title, and what reads it."""

_OTHER_METHODS = (("classify", "classification"), ("regress", "regression"))


def tfserving_router(doors: Doors) -> APIRouter:
    """Return the routes of TensorFlow Serving's REST API."""
    router = APIRouter(tags=["TensorFlow Serving"])
    for path, of, target in _TARGETS:
        _add_predict(router, doors, path=path, of=of, read_target=target)
        _add_other_methods(router, doors, path=path, of=of, read_target=target)
        _add_status(router, doors, path=path, of=of, read_target=target)
    return router


_PREDICT_BODY: dict[str, object] = {
    "requestBody": {
        "required": True,
        "content": {
            JSON_TYPE: {
                "schema": {
                    "type": "object",
                    "properties": {
                        "signature_name": {"type": "string", "enum": [SIGNATURE]},
                        "instances": {"type": "array", "items": {}, "minItems": 1},
                        "inputs": {},
                    },
                },
                "example": {"instances": ["Have a lovely day."]},
            }
        },
    }
}
_EXAMPLES_BODY: dict[str, object] = {
    "requestBody": {
        "content": {JSON_TYPE: {"schema": {"type": "object"}, "example": {"examples": [{"text": "a"}]}}}
    }
}


def _add_predict(router: APIRouter, doors: Doors, *, path: str, of: str, read_target: ReadTarget) -> None:
    @router.post(f"/v1/models/{{name}}{path}:predict", summary=f"Raw scores{of}", openapi_extra=_PREDICT_BODY)
    async def predict(
        request: Request, name: str, target: Annotated[Target, Depends(read_target)]
    ) -> Response:
        """Raw scores of the signature, for texts or tokens, in row or column form."""
        return await _predict(request, doors, name=name, target=target)


def _add_other_methods(
    router: APIRouter, doors: Doors, *, path: str, of: str, read_target: ReadTarget
) -> None:
    async def refuse(
        request: Request, name: str, target: Annotated[Target, Depends(read_target)]
    ) -> Response:
        """Refused as TensorFlow Serving refuses it: the model has a predict signature and no other."""
        return await _refuse_method(request, doors, name=name, target=target)

    for method, noun in _OTHER_METHODS:
        router.add_api_route(
            f"/v1/models/{{name}}{path}:{method}",
            refuse,
            methods=["POST"],
            name=method,
            summary=f"No {noun}{of}",
            openapi_extra=_EXAMPLES_BODY,
        )


def _add_status(router: APIRouter, doors: Doors, *, path: str, of: str, read_target: ReadTarget) -> None:
    @router.get(f"/v1/models/{{name}}{path}", summary=f"Status{of}")
    async def status(name: str, target: Annotated[Target, Depends(read_target)]) -> Response:
        """The state of every version that is meant, with the error of those that failed."""
        return _status(doors, name=name, target=target)

    @router.get(f"/v1/models/{{name}}{path}/metadata", summary=f"Metadata{of}")
    async def metadata(name: str, target: Annotated[Target, Depends(read_target)]) -> Response:
        """The signature: names, types and shapes of inputs and outputs."""
        return _metadata(doors, name=name, target=target)


async def _refuse_method(request: Request, doors: Doors, *, name: str, target: Target) -> Response:
    _check_name(doors, name)
    await read_json(request)
    method = request.url.path.rpartition(":")[2]
    noun = dict(_OTHER_METHODS)[method]
    with doors.scorer.session(target):
        raise MalformedRequestError(
            f"Expected {noun} signature method_name to be tensorflow/serving/{method}. Was: {_METHOD_NAME}"
        )


def _check_name(doors: Doors, name: str) -> None:
    if name != doors.model_name:
        raise UnknownModelError(f"There is no model {name!r}; this service serves {doors.model_name!r}.")


async def _predict(request: Request, doors: Doors, *, name: str, target: Target) -> Response:
    _check_name(doors, name)
    body = await read_json(request)
    with doors.scorer.session(target, terms_of(request)) as session:
        inputs = parse_predict(body, limits=doors.limits, max_tokens=session.contract.max_tokens)
        scores = await unless_departed(request, _infer(session, inputs))
        key = "outputs" if inputs.columnar else "predictions"
        return Response(
            orjson.dumps({key: scores}, option=orjson.OPT_SERIALIZE_NUMPY),
            media_type=JSON_TYPE,
            headers={MODEL_VERSION_HEADER: session.version},
        )


async def _infer(session: Session, inputs: PredictInputs) -> Float32Array:
    if inputs.texts:
        return await session.infer_texts(inputs.texts, lane=Lane.INTERACTIVE)
    return await session.infer(inputs.rows, lane=Lane.INTERACTIVE)


def _status(doors: Doors, *, name: str, target: Target) -> Response:
    _check_name(doors, name)
    found = [
        status
        for status in doors.status.statuses()
        if target.version in {None, status.version} and target.alias in {None, *status.aliases}
    ]
    if not found:
        wanted = target.version or target.alias
        what = f"version {wanted!r} of model" if wanted else "versions of model"
        raise UnknownModelError(f"Could not find any {what} {name!r}.")
    answer = {"model_version_status": [_version_status(status) for status in found]}
    return Response(orjson.dumps(answer), media_type=JSON_TYPE)


def _version_status(status: VersionStatus) -> dict[str, object]:
    if status.error is None:
        code, message = "OK", ""
    else:
        unavailable = isinstance(status.error, RegistryUnavailableError | OSError)
        code = "UNAVAILABLE" if unavailable else "FAILED_PRECONDITION"
        message = str(status.error) or type(status.error).__name__
    return {
        "version": status.version,
        "state": _STATES[status.state],
        "status": {"error_code": code, "error_message": message},
    }


def _metadata(doors: Doors, *, name: str, target: Target) -> Response:
    _check_name(doors, name)
    with doors.scorer.session(target) as session:
        labels = len(session.contract.labels)
        signature = {
            "inputs": {
                tensor: _tensor_info("DT_INT32", f"{SIGNATURE}_{tensor}:0", second=-1)
                for tensor in (INPUT_IDS, ATTENTION_MASK)
            },
            "outputs": {SCORES: _tensor_info("DT_FLOAT", "StatefulPartitionedCall:0", second=labels)},
            "method_name": _METHOD_NAME,
        }
        answer = {
            "model_spec": {"name": name, "signature_name": "", "version": session.version},
            "metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}},
        }
        headers = {MODEL_VERSION_HEADER: session.version}
    return Response(orjson.dumps(answer), status_code=HTTPStatus.OK, media_type=JSON_TYPE, headers=headers)


def _tensor_info(dtype: str, tensor: str, *, second: int) -> dict[str, object]:
    dimensions = [{"size": str(size), "name": ""} for size in (-1, second)]
    return {
        "dtype": dtype,
        "tensor_shape": {"dim": dimensions, "unknown_rank": False},
        "name": tensor,
    }
