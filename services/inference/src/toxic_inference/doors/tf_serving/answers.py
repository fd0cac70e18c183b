"""What TensorFlow Serving's REST API and its gRPC services both answer."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from starlette.requests import Request

from toxic_core.contract import ATTENTION_MASK, INPUT_IDS, SCORES, SIGNATURE
from toxic_core.errors import RegistryUnavailableError, UnknownModelError
from toxic_inference.doors.tf_serving.requests import parse_predict
from toxic_inference.http.backend import MODEL_VERSION_HEADER, Backend
from toxic_inference.http.body import read_body, unless_departed
from toxic_inference.http.policies import following, policy_headers
from toxic_inference.http.terms import terms_of
from toxic_inference.http.texts import marks
from toxic_inference.serving.interfaces import Lane, Session, Target
from toxic_inference.serving.versions.states import State
from toxic_model.loaded import Float32Array

METHOD_NAME = "tensorflow/serving/predict"

# TensorFlow Serving has no state for a version that failed to load: it has ended, with an error.
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
class Predicted:
    """The answer to a predict request.

    Attributes:
        scores: raw, float32 [rows, labels].
        columnar: whether the request had the column form.
        version: the version that gave it.
        headers: that version, the texts that were not read to their end, and the policy.
    """

    scores: Float32Array
    columnar: bool
    version: str
    headers: Mapping[str, str]


async def score(request: Request, backend: Backend, target: Target, body: object) -> Predicted:
    """Score a predict request in JSON; raises as `parse_predict` and `following`."""
    backend = following(request, backend)
    limits = backend.limits
    with backend.scorer.session(target, terms_of(request)) as session:
        max_tokens = session.contract.max_tokens
        inputs = await read_body(
            request,
            backend.threads.read,
            lambda _: parse_predict(body, limits=limits, max_tokens=max_tokens),
        )
        headers = {MODEL_VERSION_HEADER: session.version, **policy_headers(backend.policy)}
        if inputs.texts:
            raw = await unless_departed(request, session.infer_texts(inputs.texts, lane=Lane.INTERACTIVE))
            scores = np.stack([each.scores for each in raw])
            headers |= marks(raw)
        else:
            scores = await unless_departed(request, session.infer(inputs.rows, lane=Lane.INTERACTIVE))
        return Predicted(scores, inputs.columnar, session.version, headers)


def describe_statuses(backend: Backend, target: Target) -> dict[str, object]:
    """Return `GetModelStatusResponse` as JSON: the state of each version, with the error of failed ones.

    Available ones also have the runtime, with its precision, and the rates that were measured to choose it.

    Raises:
        UnknownModelError: there is no such version.
    """
    found: list[dict[str, object]] = []
    for status in backend.statuses():
        if target.version not in {None, status.version} or target.alias not in {None, *status.aliases}:
            continue
        code, message = "OK", ""
        if (error := status.error) is not None:
            unavailable = isinstance(error, RegistryUnavailableError | OSError)
            code = "UNAVAILABLE" if unavailable else "FAILED_PRECONDITION"
            message = str(error) or type(error).__name__
        computed: dict[str, object] = {}
        if (model := status.model) is not None:
            computed = {"runtime": model.runtime, "tokens_per_second": dict(model.rates)}
        found.append(
            {
                "version": status.version,
                "state": _STATES[status.state],
                "status": {"error_code": code, "error_message": message},
                **computed,
            }
        )
    if not found:
        wanted = target.version or target.alias
        what = f"version {wanted!r} of model" if wanted else "versions of model"
        raise UnknownModelError(f"Could not find any {what} {backend.model_name!r}.")
    return {"model_version_status": found}


def describe_signature(session: Session) -> dict[str, object]:
    """Return `SignatureDefMap` as JSON: names, types and shapes of inputs and outputs."""
    signature = {
        "inputs": {
            tensor: _tensor_info("DT_INT32", f"{SIGNATURE}_{tensor}:0", second=-1)
            for tensor in (INPUT_IDS, ATTENTION_MASK)
        },
        "outputs": {
            SCORES: _tensor_info("DT_FLOAT", "StatefulPartitionedCall:0", second=len(session.contract.labels))
        },
        "method_name": METHOD_NAME,
    }
    return {"signature_def": {SIGNATURE: signature}}


def _tensor_info(dtype: str, tensor: str, *, second: int) -> dict[str, object]:
    dimensions = [{"size": str(size), "name": ""} for size in (-1, second)]
    return {
        "dtype": dtype,
        "tensor_shape": {"dim": dimensions, "unknown_rank": False},
        "name": tensor,
    }
