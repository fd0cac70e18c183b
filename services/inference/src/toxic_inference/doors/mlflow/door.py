"""MLflow's scoring server, as of `mlflow models serve`, for the one model.

`/invocations` takes what `mlflow models serve` takes, and answers as the registered version does there: a row
of calibrated scores by label per text. SageMaker's endpoints call the same paths.

Invariant: answers and errors are MLflow's; a header names the version.
"""

from functools import partial

import orjson
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from toxic_core.errors import NoVersionReadyError
from toxic_inference import __version__
from toxic_inference.doors.mlflow.requests import Invocation, texts_of, texts_of_table
from toxic_inference.http.backend import MODEL_VERSION_HEADER, Backend
from toxic_inference.http.body import (
    MOST_VALUES,
    check_media_type,
    parse_json,
    read_body,
    unless_departed,
    validate,
)
from toxic_inference.http.door import (
    CSV_TYPE,
    JSON_TYPE,
    NDJSON_TYPE,
    Access,
    Door,
    ErrorShape,
    Operation,
)
from toxic_inference.http.encodings.forms import TABLE_PARAMETERS, table_options
from toxic_inference.http.error_shapes import one_bad_request
from toxic_inference.http.errors import Problem
from toxic_inference.http.policies import POLICY_PARAMETER, following, policy_headers
from toxic_inference.http.terms import terms_of
from toxic_inference.http.texts import identified, marks, unevaluated
from toxic_inference.serving.interfaces import Lane, Target, Text
from toxic_inference.tables.writer import SCORE_DIGITS

_MOST_COLUMNS = 16
"""Columns of a frame, for the number of values in a request."""


class Predictions(BaseModel):
    """The scores of every text, in order."""

    predictions: list[dict[str, float]]


class MlflowError(BaseModel):
    """An error of MLflow's server."""

    error_code: str
    message: str


async def invocations(request: Request, backend: Backend) -> Response:
    """Calibrated scores by label, of a DataFrame, a list of texts, or a table."""
    kind = check_media_type(request, (JSON_TYPE, CSV_TYPE, NDJSON_TYPE))
    backend, limits = following(request, backend), backend.limits
    options = table_options(request, {}, content_type=request.headers.get("content-type", ""))

    def read(body: bytes) -> list[Text]:
        if kind != JSON_TYPE:
            return texts_of_table(body, limits, options)
        value = parse_json(body, most_values=MOST_VALUES + _MOST_COLUMNS * limits.texts)
        return texts_of(validate(Invocation, value), limits)

    texts = await identified(await read_body(request, backend.threads.read, read), request, backend)
    with backend.scorer.session(Target(), terms_of(request)) as session:
        scores = await unless_departed(request, session.score(texts, lane=Lane.INTERACTIVE))
        headers = {
            MODEL_VERSION_HEADER: session.version,
            **marks(scores),
            **unevaluated(texts, session.contract),
            **policy_headers(backend.policy, scores),
        }
        rounded = partial(round, ndigits=SCORE_DIGITS)
        rows = [
            dict(zip(session.contract.labels, map(rounded, score.scores), strict=True)) for score in scores
        ]
    return Response(orjson.dumps({"predictions": rows}), media_type=JSON_TYPE, headers=headers)


async def ping(_: Request, backend: Backend) -> Response:
    """200 if a version answers; 503 before."""
    if not backend.ready():
        raise NoVersionReadyError("No version is available yet.")
    return Response("\n", media_type=JSON_TYPE)


async def version(_: Request, __: Backend) -> Response:
    """This service's version, where MLflow's server has its own."""
    return Response(__version__, media_type="text/plain")


_CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    429: "REQUEST_LIMIT_EXCEEDED",
    503: "TEMPORARILY_UNAVAILABLE",
}
"""MLflow's error codes by status."""


def _body(problem: Problem) -> object:
    status = one_bad_request(problem)
    other = "INTERNAL_ERROR" if status >= 500 else _CODES[400]  # noqa: PLR2004  HTTP's
    return {"error_code": _CODES.get(status, other), "message": problem.message}


_TABLE = "text\nHave a lovely day.\n"

MLFLOW = Door(
    name="mlflow",
    title="MLflow",
    clients="clients of MLflow's scoring server and of SageMaker's endpoints",
    prefixes=("/invocations", "/ping", "/health", "/version"),
    errors=ErrorShape("MLflow's", MlflowError, _body, one_bad_request),
    operations=(
        Operation(
            "POST",
            "/invocations",
            invocations,
            scores=True,
            query=TABLE_PARAMETERS | POLICY_PARAMETER,
            body={JSON_TYPE: Invocation, CSV_TYPE: _TABLE, NDJSON_TYPE: '{"text": "Have a lovely day."}\n'},
            answers={200: Predictions},
            errors={
                400: "A row, a text or the form of the body is at fault.",
                413: "The body or a text is too large, or there are too many rows.",
                415: "The content type is not accepted.",
                429: "The queue is full; the header Retry-After has the seconds to wait.",
                503: "No model version is available yet.",
            },
        ),
        *(
            Operation("GET", path, ping, access=Access.OPEN, probe=True, answers={200: {JSON_TYPE: "\n"}})
            for path in ("/ping", "/health")
        ),
        Operation(
            "GET",
            "/version",
            version,
            access=Access.OPEN,
            probe=True,
            answers={200: {"text/plain": __version__}},
        ),
    ),
)
