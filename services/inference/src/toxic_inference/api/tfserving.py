"""TensorFlow Serving's REST API (https://www.tensorflow.org/tfx/serving/api_rest) for the one model.

Owns `/v1/models/…`: predict in row and column form, version status, metadata. Answers what TensorFlow
Serving would answer for the same bundle, raw scores of the signature included; texts in place of tensors are
this project's own convenience.

Invariant: answers and errors are to the letter TensorFlow Serving's; the version stands in a header.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import numpy as np
import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from toxic_core.contract import ATTENTION_MASK, INPUT_IDS, SCORES, SIGNATURE
from toxic_core.errors import RegistryUnavailableError, UnknownModelError
from toxic_core.tokens import Int32Array
from toxic_inference.api.body import JSON_TYPE, read_json, unless_departed
from toxic_inference.api.doors import MODEL_VERSION_HEADER, Doors
from toxic_inference.api.errors import InvalidRequestError, MalformedRequestError, TooManyTextsError
from toxic_inference.serving.errors import InvalidTensorError
from toxic_inference.serving.harness import State
from toxic_inference.serving.interfaces import Float32Array, Lane, Row, Session, Target
from toxic_inference.serving.manager import VersionStatus
from toxic_inference.serving.texts import check_text

_TEXT = "text"
_MEMBERS = frozenset({"signature_name", "instances", "inputs"})

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


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What a predict request holds: texts or rows of tokens, and which form its answer has."""

    texts: tuple[str, ...]
    rows: tuple[Row, ...]
    columnar: bool


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
        inputs = _parse(body, doors, max_tokens=session.contract.max_tokens)
        scores = await unless_departed(request, _infer(session, inputs))
        key = "outputs" if inputs.columnar else "predictions"
        return Response(
            orjson.dumps({key: scores}, option=orjson.OPT_SERIALIZE_NUMPY),
            media_type=JSON_TYPE,
            headers={MODEL_VERSION_HEADER: session.version},
        )


async def _infer(session: Session, inputs: _Inputs) -> Float32Array:
    if inputs.texts:
        return await session.infer_texts(inputs.texts, lane=Lane.INTERACTIVE)
    return await session.infer(inputs.rows, lane=Lane.INTERACTIVE)


def _parse(body: object, doors: Doors, *, max_tokens: int) -> _Inputs:
    if not isinstance(body, dict):
        raise MalformedRequestError("The body must be a JSON object with instances or inputs.")
    if unknown := sorted(body.keys() - _MEMBERS):
        raise InvalidRequestError(f"The body has the unknown member {unknown[0]!r}.", field=unknown[0])
    signature = body.get("signature_name", SIGNATURE)
    if signature not in {SIGNATURE, ""}:
        raise MalformedRequestError(
            f"The model has no signature {signature!r}; leave it out or send {SIGNATURE!r}."
        )
    if ("instances" in body) == ("inputs" in body):
        raise MalformedRequestError("Send either instances (row form) or inputs (column form).")
    if "instances" in body:
        return _parse_instances(body["instances"], doors, max_tokens=max_tokens)
    return _parse_columns(body["inputs"], doors, max_tokens=max_tokens)


def _parse_instances(value: object, doors: Doors, *, max_tokens: int) -> _Inputs:
    instances = _list(value, "instances", doors)
    if all(isinstance(instance, dict) and INPUT_IDS in instance for instance in instances):
        rows = tuple(
            _row(instance, f"instances[{index}]", max_tokens=max_tokens)
            for index, instance in enumerate(instances)
            if isinstance(instance, dict)
        )
        return _Inputs(texts=(), rows=rows, columnar=False)
    texts = [i[_TEXT] if isinstance(i, dict) and i.keys() == {_TEXT} else i for i in instances]
    return _Inputs(texts=_texts(texts, "instances", doors), rows=(), columnar=False)


def _parse_columns(value: object, doors: Doors, *, max_tokens: int) -> _Inputs:
    if isinstance(value, dict) and value.keys() == {INPUT_IDS, ATTENTION_MASK}:
        ids = _list(value[INPUT_IDS], f"inputs.{INPUT_IDS}", doors)
        masks = _list(value[ATTENTION_MASK], f"inputs.{ATTENTION_MASK}", doors)
        if len(ids) != len(masks):
            raise InvalidTensorError(f"{INPUT_IDS} has {len(ids)} rows, but {ATTENTION_MASK} {len(masks)}.")
        rows = tuple(
            _row({INPUT_IDS: row, ATTENTION_MASK: mask}, f"inputs, row {index}", max_tokens=max_tokens)
            for index, (row, mask) in enumerate(zip(ids, masks, strict=True))
        )
        return _Inputs(texts=(), rows=rows, columnar=True)
    texts = value[_TEXT] if isinstance(value, dict) and value.keys() == {_TEXT} else value
    return _Inputs(texts=_texts(_list(texts, "inputs", doors), "inputs", doors), rows=(), columnar=True)


def _list(value: object, field: str, doors: Doors) -> list[object]:
    if not isinstance(value, list) or not value:
        raise InvalidTensorError(
            f"{field} must be a list that isn't empty, of texts or of {INPUT_IDS} with {ATTENTION_MASK}."
        )
    if len(value) > doors.limits.texts:
        raise TooManyTextsError(f"{field} has {len(value):,} rows; the limit is {doors.limits.texts:,}.")
    return value


def _texts(values: Sequence[object], field: str, doors: Doors) -> tuple[str, ...]:
    texts: list[str] = []
    for index, value in enumerate(values):
        if not isinstance(value, str):
            raise InvalidTensorError(
                f"{field}[{index}] must be a text, or an object with {INPUT_IDS} and {ATTENTION_MASK}."
            )
        check_text(value, field=f"{field}[{index}]", max_bytes=doors.limits.text_bytes)
        texts.append(value)
    return tuple(texts)


def _row(tensors: Mapping[str, object], where: str, *, max_tokens: int) -> Row:
    if tensors.keys() != {INPUT_IDS, ATTENTION_MASK}:
        raise InvalidTensorError(f"{where} must have exactly {INPUT_IDS} and {ATTENTION_MASK}.")
    ids = _int32(tensors[INPUT_IDS], f"{where}, {INPUT_IDS},")
    mask = _int32(tensors[ATTENTION_MASK], f"{where}, {ATTENTION_MASK},")
    if len(ids) != len(mask):
        raise InvalidTensorError(f"{where} has {len(ids)} ids, but {len(mask)} mask values.")
    if not np.isin(mask, (0, 1)).all() or not mask.any():
        raise InvalidTensorError(f"{where}: {ATTENTION_MASK} must be of 0 and 1, with at least one 1.")
    # Padding at the end is taken off: the scheduler pads for its own batch.
    length = int(np.flatnonzero(mask)[-1]) + 1
    if length > max_tokens:
        raise InvalidTensorError(f"{where} has {length} tokens; the model reads {max_tokens}.")
    if (ids[:length] < 0).any():
        raise InvalidTensorError(f"{where} has a negative token id.")
    inner = mask[:length]
    return Row(ids=ids[:length], mask=None if inner.all() else inner)


def _int32(value: object, where: str) -> Int32Array:
    integers = isinstance(value, list) and all(type(item) is int for item in value)
    if not integers or not value:
        raise InvalidTensorError(f"{where} must be a list of integers that isn't empty.")
    try:
        return np.array(value, dtype=np.int32)
    except OverflowError as error:
        raise InvalidTensorError(f"{where} has a number beyond 32 bits.") from error


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
