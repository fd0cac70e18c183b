"""TensorFlow Serving's REST API (https://www.tensorflow.org/tfx/serving/api_rest) for the one model.

Owns `/v1/models/…`: predict in row and column form, version status, metadata. Answers what TensorFlow
Serving would answer for the same bundle, raw scores of the signature included; texts in place of tensors are
this project's own convenience.

Invariant: answers and errors are to the letter TensorFlow Serving's; the version stands in a header.
"""

from http import HTTPStatus

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from toxic_core.contract import ATTENTION_MASK, INPUT_IDS, SCORES, SIGNATURE
from toxic_core.errors import RegistryUnavailableError, UnknownModelError
from toxic_inference.api.body import JSON_TYPE, read_json, unless_departed
from toxic_inference.api.doors import MODEL_VERSION_HEADER, Doors
from toxic_inference.api.tfserving_request import PredictInputs, parse_predict
from toxic_inference.serving.interfaces import Float32Array, Lane, Session, Target
from toxic_inference.serving.manager import VersionStatus
from toxic_inference.serving.states import State

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


def tfserving_router(doors: Doors) -> APIRouter:
    """Return the routes of TensorFlow Serving's REST API."""
    router = APIRouter(tags=["TensorFlow Serving"])
    _add_predict(router, doors)
    _add_status(router, doors)
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


def _add_predict(router: APIRouter, doors: Doors) -> None:
    @router.post("/v1/models/{name}:predict", summary="Predict", openapi_extra=_PREDICT_BODY)
    async def predict(request: Request, name: str) -> Response:
        """Raw scores of the default alias's version."""
        return await _predict(request, doors, name=name, target=Target())

    @router.post(
        "/v1/models/{name}/versions/{version}:predict",
        summary="Predict with a version",
        openapi_extra=_PREDICT_BODY,
    )
    async def predict_version(request: Request, name: str, version: str) -> Response:
        """Raw scores of one version."""
        return await _predict(request, doors, name=name, target=Target(version=version))

    @router.post(
        "/v1/models/{name}/labels/{label}:predict",
        summary="Predict with a label",
        openapi_extra=_PREDICT_BODY,
    )
    async def predict_label(request: Request, name: str, label: str) -> Response:
        """Raw scores of the version that an alias names."""
        return await _predict(request, doors, name=name, target=Target(alias=label))


def _add_status(router: APIRouter, doors: Doors) -> None:
    @router.get("/v1/models/{name}", summary="Version status")
    async def status(name: str) -> Response:
        """The state of every version known here, with the error of those that failed."""
        return _status(doors, name=name, version=None)

    @router.get("/v1/models/{name}/metadata", summary="Model metadata")
    async def metadata(name: str) -> Response:
        """The signature of the default alias's version."""
        return _metadata(doors, name=name, target=Target())

    @router.get("/v1/models/{name}/versions/{version}", summary="Status of a version")
    async def version_status(name: str, version: str) -> Response:
        """The state of one version."""
        return _status(doors, name=name, version=version)

    @router.get("/v1/models/{name}/versions/{version}/metadata", summary="Metadata of a version")
    async def version_metadata(name: str, version: str) -> Response:
        """The signature of one version."""
        return _metadata(doors, name=name, target=Target(version=version))

    @router.get("/v1/models/{name}/labels/{label}/metadata", summary="Metadata of a label's version")
    async def label_metadata(name: str, label: str) -> Response:
        """The signature of the version that an alias names."""
        return _metadata(doors, name=name, target=Target(alias=label))


def _check_name(doors: Doors, name: str) -> None:
    if name != doors.model_name:
        raise UnknownModelError(f"There is no model {name!r}; this service serves {doors.model_name!r}.")


async def _predict(request: Request, doors: Doors, *, name: str, target: Target) -> Response:
    _check_name(doors, name)
    body = await read_json(request)
    with doors.scorer.session(target) as session:
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


def _status(doors: Doors, *, name: str, version: str | None) -> Response:
    _check_name(doors, name)
    found = [status for status in doors.status.statuses() if version in {None, status.version}]
    if not found:
        what = f"version {version!r} of model" if version else "versions of model"
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
            "method_name": "tensorflow/serving/predict",
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
