"""TensorFlow Serving's REST API (https://www.tensorflow.org/tfx/serving/api_rest) for the one model.

`/v1/models/…`: predict in row and column form, version status, metadata, and the refusal of methods that the
model has no signature for. Predict returns the raw scores of the signature, as TensorFlow Serving does; texts
in place of tensors are an extension.

Invariant: answers and errors are exactly TensorFlow Serving's; a header names the version.
"""

from functools import partial
from http import HTTPStatus
from typing import Literal

import orjson
from pydantic import BaseModel, Field, JsonValue
from starlette.requests import Request
from starlette.responses import Response

from toxic_inference.doors.tf_serving.answers import (
    METHOD_NAME,
    describe_signature,
    describe_statuses,
    score,
)
from toxic_inference.http.backend import MODEL_VERSION_HEADER, Backend
from toxic_inference.http.body import parse_json, read_body, read_json
from toxic_inference.http.door import JSON_TYPE, Door, ErrorShape, Operation
from toxic_inference.http.error_shapes import MESSAGE
from toxic_inference.http.errors import MalformedRequestError, Problem
from toxic_inference.http.rows import most_token_values
from toxic_inference.http.terms import target_of
from toxic_inference.serving.interfaces import Target

_OTHER_METHODS = {"classify": "classification", "regress": "regression"}


async def predict(request: Request, backend: Backend) -> Response:
    """Raw scores of the signature, for texts or tokens, in row or column form."""
    target = _target(request, backend)
    limits, threads = backend.limits, backend.threads.read
    body = await read_body(request, threads, partial(parse_json, most_values=most_token_values(limits)))
    predicted = await score(request, backend, target, body)
    key = "outputs" if predicted.columnar else "predictions"
    return Response(
        orjson.dumps({key: predicted.scores}, option=orjson.OPT_SERIALIZE_NUMPY),
        media_type=JSON_TYPE,
        headers=predicted.headers,
    )


async def list_models(_: Request, __: Backend) -> Response:
    """Always refused, as by TensorFlow Serving: a status is of one model."""
    raise MalformedRequestError("Missing model name in request.")


async def refuse_method(request: Request, backend: Backend) -> Response:
    """Always refused, as by TensorFlow Serving: the model has only a predict signature."""
    target = _target(request, backend)
    await read_json(request)
    method = request.url.path.rpartition(":")[2]
    with backend.scorer.session(target):
        raise MalformedRequestError(
            f"Expected {_OTHER_METHODS[method]} signature method_name to be tensorflow/serving/{method}. "
            f"Was: {METHOD_NAME}"
        )


async def status(request: Request, backend: Backend) -> Response:
    """The state of every version that the path names, with the error of failed ones."""
    target = _target(request, backend)
    return Response(orjson.dumps(describe_statuses(backend, target)), media_type=JSON_TYPE)


async def metadata(request: Request, backend: Backend) -> Response:
    """The signature: names, types and shapes of inputs and outputs."""
    with backend.scorer.session(_target(request, backend)) as session:
        answer = {
            "model_spec": {"name": backend.model_name, "signature_name": "", "version": session.version},
            "metadata": {"signature_def": describe_signature(session)},
        }
        headers = {MODEL_VERSION_HEADER: session.version}
    return Response(orjson.dumps(answer), media_type=JSON_TYPE, headers=headers)


def _target(request: Request, backend: Backend) -> Target:
    if ":" in request.path_params["name"]:
        # A method of the model, such as predict, by GET.
        raise MalformedRequestError(f"Malformed request: {request.method} {request.url.path}")
    return target_of(request, model_name=backend.model_name)


def _status(problem: Problem) -> int:
    """Return TensorFlow Serving's status: a path or method that it doesn't know is a malformed request."""
    unrouted = problem.error is None and problem.status in {
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
    }
    return HTTPStatus.BAD_REQUEST if unrouted else MESSAGE.status(problem)


class PredictBody(BaseModel):
    """The body of predict, for the documentation only; `parse_predict` reads it."""

    signature_name: Literal["serving_default"] = "serving_default"
    instances: list[JsonValue] = Field(default=[], min_length=1, description="Texts or tokens, in row form.")
    inputs: JsonValue = Field(default=None, description="Texts or tokens, in column form.")


_PREDICTIONS = {"predictions": [[0.798, 0.007, 0.01, 0.04, 0.423, 0.012]]}
_OK = {"error_code": "OK", "error_message": ""}
_STATUS = {"model_version_status": [{"version": "3", "state": "AVAILABLE", "status": _OK}]}
_METADATA = {
    "model_spec": {"name": "toxic-comments", "signature_name": "", "version": "3"},
    "metadata": {"signature_def": {"signature_def": {}}},
}


def _of_model(path: str) -> tuple[Operation, ...]:
    refused = {JSON_TYPE: {"examples": [{"text": "a"}]}}
    return (
        Operation(
            "POST",
            f"{path}:predict",
            predict,
            scores=True,
            body=PredictBody,
            answers={200: {JSON_TYPE: _PREDICTIONS}},
        ),
        *(
            Operation("POST", f"{path}:{method}", refuse_method, body=refused, errors={400: "Always."})
            for method in _OTHER_METHODS
        ),
        Operation("GET", path, status, answers={200: {JSON_TYPE: _STATUS}}),
        Operation("GET", f"{path}/metadata", metadata, answers={200: {JSON_TYPE: _METADATA}}),
    )


TF_SERVING = Door(
    name="tf_serving",
    title="TensorFlow Serving",
    clients="clients of TensorFlow Serving's REST API",
    prefixes=("/v1/models",),
    errors=ErrorShape(MESSAGE.name, MESSAGE.model, MESSAGE.body, _status),
    operations=(
        Operation("GET", "/v1/models", list_models, documented=False),
        *_of_model("/v1/models/{name}"),
        *_of_model("/v1/models/{name}/versions/{version}"),
        *_of_model("/v1/models/{name}/labels/{label}"),
    ),
)
