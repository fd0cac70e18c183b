"""The errors of the Perspective API.

Messages and error types are the published ones (https://github.com/conversationai/perspectiveapi,
2-api/limits.md), and those of Google's API front end for JSON that does not fit a message.

Invariant: every error made here is a `MalformedRequestError`, status 400, with its details.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from http import HTTPStatus

from pydantic import BaseModel, JsonValue

from toxic_inference.doors.perspective.messages import PACKAGE
from toxic_inference.http.door import ErrorShape
from toxic_inference.http.errors import (
    MalformedRequestError,
    Problem,
    UnauthenticatedError,
    UnknownKeyError,
    UnsupportedCodingError,
    canonical_code,
)


class ErrorType(StrEnum):
    """The published error types."""

    COMMENT_EMPTY = "COMMENT_EMPTY"
    COMMENT_TOO_LONG = "COMMENT_TOO_LONG"
    NO_REQUESTED_ATTRIBUTES = "NO_REQUESTED_ATTRIBUTES"
    LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE = "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE"
    INVALID_REQUEST = "INVALID_REQUEST"


def refusal(
    message: str, error_type: ErrorType = ErrorType.INVALID_REQUEST, **facts: object
) -> MalformedRequestError:
    """Return a `google.commentanalyzer` error, with `facts` as further members of its detail."""
    detail = {"@type": f"type.googleapis.com/{PACKAGE}.Error", "errorType": error_type.value, **facts}
    return MalformedRequestError(message, details=(detail,))


def unsupported(attribute: str, languages: Sequence[str], *, detected: bool) -> MalformedRequestError:
    """Return the error for an attribute that is not scored in a language, or in none.

    Args:
        attribute: its name.
        languages: the languages of the request or of the text.
        detected: whether they were identified.
    """
    named = "detectedLanguages" if detected else "requestedLanguages"
    return refusal(
        f"Attribute {attribute} does not support request languages: {', '.join(languages)}",
        ErrorType.LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE,
        languageNotSupportedByAttributeError={named: list(languages), "attribute": attribute},
    )


def violation(field: str, description: str) -> MalformedRequestError:
    """Return the error of Google's API front end for JSON that does not fit a message.

    Args:
        field: the path to the member at fault; empty if there is none.
        description: what is wrong.
    """
    violation = {"field": field, "description": description} if field else {"description": description}
    detail = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}
    return MalformedRequestError(description, field=field or None, details=(detail,))


class GoogleErrorDetail(BaseModel):
    """What is wrong, as `google.rpc.Status`."""

    code: int
    message: str
    status: str
    details: list[dict[str, JsonValue]] | None = None


class GoogleError(BaseModel):
    """An error of Google's APIs."""

    error: GoogleErrorDetail


_STATUSES: Mapping[int, int] = {status: status for status in (400, 403, 404, 409, 413, 429, 503, 504)} | {
    405: 404
}
"""Statuses of Google's APIs. Other statuses below 500 are 400."""


_INVALID_KEY = {
    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
    "reason": "API_KEY_INVALID",
    "domain": "googleapis.com",
    "metadata": {"service": "commentanalyzer.googleapis.com"},
}


def _status(problem: Problem) -> int:
    status = problem.status
    if isinstance(problem.error, UnsupportedCodingError):
        return status
    if isinstance(problem.error, UnauthenticatedError):
        status = 400 if isinstance(problem.error, UnknownKeyError) else 403
    return _STATUSES.get(status, 400 if status < HTTPStatus.INTERNAL_SERVER_ERROR else 500)


def _body(problem: Problem) -> object:
    code = _status(problem)
    status = canonical_code(problem, code)
    error: dict[str, object] = {"code": code, "message": problem.message, "status": status}
    if isinstance(problem.error, UnknownKeyError):
        error["details"] = [_INVALID_KEY]
    elif isinstance(problem.error, UnauthenticatedError):
        error["message"] = "The request is missing a valid API key."
    elif problem.details:
        error["details"] = problem.details
    return {"error": error}


GOOGLE = ErrorShape("Google's", GoogleError, _body, _status)
