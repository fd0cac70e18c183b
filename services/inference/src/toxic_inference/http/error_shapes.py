"""Error bodies: each surface's own shape.

Invariant: whatever goes wrong on a route, an unforeseen failure and an unknown path included, is answered in
the shape of the surface that the route belongs to.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from toxic_core.errors import ToxicError
from toxic_inference.http.errors import Problem, problem_of

_HTTP_CODES = {
    HTTPStatus.BAD_REQUEST: "malformed_request",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "unsupported_media_type",
    HTTPStatus.UNPROCESSABLE_ENTITY: "invalid_request",
}


def _native_body(problem: Problem) -> object:
    error: dict[str, object] = {"code": problem.code, "message": problem.message}
    if problem.field is not None:
        error["field"] = problem.field
    if problem.rows:
        error["rows"] = [{"line": r.line, "code": r.code, "message": r.message} for r in problem.rows]
    return {"error": error}


def _plain_body(problem: Problem) -> object:
    return {"error": problem.message}


_GOOGLE_STATUSES: Mapping[int, tuple[int, str]] = {
    400: (400, "INVALID_ARGUMENT"),
    401: (401, "UNAUTHENTICATED"),
    403: (403, "PERMISSION_DENIED"),
    404: (404, "NOT_FOUND"),
    405: (404, "NOT_FOUND"),
    409: (409, "ALREADY_EXISTS"),
    429: (429, "RESOURCE_EXHAUSTED"),
    503: (503, "UNAVAILABLE"),
    504: (504, "DEADLINE_EXCEEDED"),
}
"""Google's canonical codes by HTTP status (google.rpc.Code); what isn't named is one of the two below."""


def _google_status(status: int) -> tuple[int, str]:
    other = (400, "INVALID_ARGUMENT") if status < HTTPStatus.INTERNAL_SERVER_ERROR else (500, "INTERNAL")
    return _GOOGLE_STATUSES.get(status, other)


def _google_body(problem: Problem) -> object:
    code, status = _google_status(problem.status)
    error: dict[str, object] = {"code": code, "message": problem.message, "status": status}
    if problem.details:
        error["details"] = problem.details
    return {"error": error}


@dataclass(frozen=True, slots=True)
class _Surface:
    """A protocol with an error shape of its own.

    Attributes:
        prefix: of its paths.
        body: an error as its JSON.
        status: the HTTP status it has for one of ours.
    """

    prefix: str
    body: Callable[[Problem], object]
    status: Callable[[int], int] = field(default=int)


_SURFACES = (
    _Surface("/v1/models/", _plain_body),
    _Surface("/v2", _plain_body),
    _Surface("/v1alpha1/", _google_body, lambda status: _google_status(status)[0]),
    _Surface("/$discovery/", _google_body, lambda status: _google_status(status)[0]),
)
_NATIVE = _Surface("/", _native_body)


def render_problem(problem: Problem, *, path: str) -> Response:
    """Return `problem` in the shape of the surface that `path` belongs to."""
    surface = next((surface for surface in _SURFACES if path.startswith(surface.prefix)), _NATIVE)
    return Response(
        orjson.dumps(surface.body(problem)),
        status_code=surface.status(problem.status),
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
