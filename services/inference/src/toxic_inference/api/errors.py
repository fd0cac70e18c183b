"""From errors to HTTP: one table, and each surface's own shape.

Owns the mapping of every `ToxicError` to a status and a code, and the renderers of error bodies.

Invariant: whatever goes wrong on a route is answered in the shape of that route's surface; no other module
names a status for an error.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from toxic_core.errors import (
    InvalidSignatureError,
    InvalidTextError,
    NoVersionReadyError,
    OverloadedError,
    ToxicError,
    UnknownModelError,
)
from toxic_inference.serving.errors import (
    InferenceError,
    InvalidTensorError,
    RejectedTextError,
    TextTooLongError,
)


class RequestError(ToxicError):
    """A request that can't be answered as it stands.

    Attributes:
        field: the part of the request that is at fault, where there is one.
    """

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class MalformedRequestError(RequestError):
    """A body that isn't what its content type says."""


class InvalidRequestError(RequestError):
    """A well-formed body with a field that is missing, unknown or of the wrong type."""


class UnsupportedMediaTypeError(RequestError):
    """A content type that the route doesn't read."""


class BodyTooLargeError(RequestError):
    """A body over the size limit."""


class TooManyTextsError(RequestError):
    """More texts than one request may hold."""


class EventsDisabledError(RequestError):
    """A message from the registry where none is taken."""


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Why one row of a CSV wasn't scored.

    Attributes:
        line: the row's first line in the file, from 1.
        code: for programs.
        message: for people.
    """

    line: int
    code: str
    message: str


class InvalidCsvError(RequestError):
    """A file that isn't a CSV with a text column, or in which no row could be scored.

    Attributes:
        problems: why its rows weren't scored, where the file itself could be read.
    """

    def __init__(self, message: str, *, problems: tuple[RowProblem, ...] = ()) -> None:
        super().__init__(message, field="file")
        self.problems = problems


ERROR_TABLE: Mapping[type[Exception], tuple[HTTPStatus, str]] = {
    MalformedRequestError: (HTTPStatus.BAD_REQUEST, "malformed_request"),
    InvalidRequestError: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request"),
    UnsupportedMediaTypeError: (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
    BodyTooLargeError: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large"),
    TooManyTextsError: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_many_texts"),
    EventsDisabledError: (HTTPStatus.NOT_FOUND, "events_disabled"),
    InvalidSignatureError: (HTTPStatus.FORBIDDEN, "invalid_signature"),
    InvalidCsvError: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_csv"),
    TextTooLongError: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "text_too_long"),
    InvalidTextError: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_text"),
    InvalidTensorError: (HTTPStatus.BAD_REQUEST, "invalid_tensor"),
    UnknownModelError: (HTTPStatus.NOT_FOUND, "unknown_model"),
    OverloadedError: (HTTPStatus.TOO_MANY_REQUESTS, "overloaded"),
    NoVersionReadyError: (HTTPStatus.SERVICE_UNAVAILABLE, "no_version_ready"),
    InferenceError: (HTTPStatus.INTERNAL_SERVER_ERROR, "inference_failed"),
    ToxicError: (HTTPStatus.INTERNAL_SERVER_ERROR, "internal"),
}
"""Every error's status and code; a class that isn't named has its nearest ancestor's."""

_HTTP_CODES = {
    HTTPStatus.BAD_REQUEST: "malformed_request",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "unsupported_media_type",
    HTTPStatus.UNPROCESSABLE_ENTITY: "invalid_request",
}

_NO_VERSION_RETRY_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as an answer.

    Attributes:
        status: HTTP status.
        code: for programs.
        message: for people: what is wrong and what to do.
        field: the part of the request at fault.
        rows: rows of a CSV that weren't scored.
        headers: of the answer.
    """

    status: int
    code: str
    message: str
    field: str | None = None
    rows: tuple[RowProblem, ...] = ()
    headers: Mapping[str, str] | None = None


def problem_of(error: Exception) -> Problem:
    """Look an error up in the table."""
    status, code = next(
        (ERROR_TABLE[cls] for cls in type(error).__mro__ if cls in ERROR_TABLE), ERROR_TABLE[ToxicError]
    )
    headers = {}
    if isinstance(error, OverloadedError):
        headers["Retry-After"] = str(max(round(error.retry_after_seconds), 1))
    elif isinstance(error, NoVersionReadyError):
        headers["Retry-After"] = str(_NO_VERSION_RETRY_SECONDS)
    return Problem(
        status=status,
        code=code,
        message=str(error) if isinstance(error, ToxicError) else "The service failed; its log says why.",
        field=error.field if isinstance(error, RequestError | RejectedTextError) else None,
        rows=error.problems if isinstance(error, InvalidCsvError) else (),
        headers=headers,
    )


def _native_body(problem: Problem) -> object:
    error: dict[str, object] = {"code": problem.code, "message": problem.message}
    if problem.field is not None:
        error["field"] = problem.field
    if problem.rows:
        error["rows"] = [{"line": r.line, "code": r.code, "message": r.message} for r in problem.rows]
    return {"error": error}


def _tensorflow_body(problem: Problem) -> object:
    return {"error": problem.message}


_SHAPES: tuple[tuple[str, Callable[[Problem], object]], ...] = (("/v1/models/", _tensorflow_body),)
"""Surfaces with an error shape of their own, by path prefix."""


def render_problem(problem: Problem, *, path: str) -> Response:
    """Return `problem` in the shape of the surface that `path` belongs to."""
    shape = next((shape for prefix, shape in _SHAPES if path.startswith(prefix)), _native_body)
    return Response(
        orjson.dumps(shape(problem)),
        status_code=problem.status,
        media_type="application/json",
        headers=problem.headers,
    )


def _problem_of_http(error: HTTPException, request: Request) -> Problem:
    status = HTTPStatus(error.status_code)
    message = str(error.detail)
    if status is HTTPStatus.NOT_FOUND:
        message = f"There is no {request.url.path}; /docs lists every route."
    elif status is HTTPStatus.METHOD_NOT_ALLOWED:
        message = f"{request.url.path} doesn't take {request.method}; /docs lists what it takes."
    code = _HTTP_CODES.get(status, status.phrase.lower().replace(" ", "_"))
    return Problem(status=status, code=code, message=message, headers=error.headers)


def _problem_of_validation(error: RequestValidationError) -> Problem:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    return Problem(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        code="invalid_request",
        message=f"{where}: {first['msg']}.",
        field=where,
    )


Handler = Callable[[Request, Exception], Awaitable[Response]]


def install_error_handlers(app: FastAPI) -> None:
    """Answer every error in its surface's shape."""

    async def on_toxic(request: Request, error: Exception) -> Response:
        return render_problem(problem_of(error), path=request.url.path)

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  registered for this class alone
        return render_problem(_problem_of_http(error, request), path=request.url.path)

    async def on_validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101  registered for this class alone
        return render_problem(_problem_of_validation(error), path=request.url.path)

    app.add_exception_handler(ToxicError, on_toxic)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_validation)
