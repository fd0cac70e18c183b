"""The errors of the Perspective API.

Messages and error types are the published ones (https://github.com/conversationai/perspectiveapi,
2-api/limits.md), and those of Google's API front end for JSON that does not fit a message.

Invariant: every error made here is a `MalformedRequestError`, status 400, with its details.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from http import HTTPStatus

from pydantic import BaseModel, JsonValue, ValidationError

from toxic_inference.doors.perspective.coercion import DuplicateMemberError, coerce
from toxic_inference.doors.perspective.messages import PACKAGE
from toxic_inference.http.body import Model, path_of
from toxic_inference.http.door import JSON_TYPE, ErrorShape
from toxic_inference.http.errors import MalformedRequestError, Problem

_TYPES = {
    "string_type": "TYPE_STRING",
    "bool_type": "TYPE_BOOL",
    "float_type": "TYPE_FLOAT",
    "float_parsing": "TYPE_FLOAT",
    "finite_number": "TYPE_FLOAT",
    "int_type": "TYPE_INT32",
    "int_parsing": "TYPE_INT32",
    "int_from_float": "TYPE_INT32",
    "greater_than_equal": "TYPE_INT32",
    "less_than": "TYPE_INT32",
    "enum": "TYPE_ENUM",
}
"""Protocol buffers' names for the types in pydantic's errors; any other type is a message."""


class ErrorType(StrEnum):
    """The published error types."""

    COMMENT_EMPTY = "COMMENT_EMPTY"
    COMMENT_TOO_LONG = "COMMENT_TOO_LONG"
    NO_REQUESTED_ATTRIBUTES = "NO_REQUESTED_ATTRIBUTES"
    LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE = "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE"
    LANGUAGE_DETECTION_FAILED = "LANGUAGE_DETECTION_FAILED"
    INVALID_REQUEST = "INVALID_REQUEST"


def refusal(
    message: str, error_type: ErrorType = ErrorType.INVALID_REQUEST, **facts: object
) -> MalformedRequestError:
    """Return a `google.commentanalyzer` error, with `facts` as further members of its detail."""
    detail = {"@type": f"type.googleapis.com/{PACKAGE}.Error", "errorType": error_type.value, **facts}
    return MalformedRequestError(message, details=(detail,))


def unsupported_language(
    attribute: str, languages: Sequence[str], *, detected: bool
) -> MalformedRequestError:
    """Return the error for an attribute that is not scored in a language.

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


def read_message(model: type[Model], value: object) -> Model:
    """Return a JSON value as a message; what doesn't fit is coerced as protobuf's reader does.

    Raises:
        MalformedRequestError: it does not fit; the message is that of Google's API front end.
    """
    if not isinstance(value, dict):
        raise _violation("", f"Invalid JSON payload received. The body must be a JSON object ({JSON_TYPE}).")
    with suppress(ValidationError):
        return model.model_validate(value)
    try:
        return model.model_validate(coerce(model, value))
    except DuplicateMemberError as error:
        message = (
            f'Invalid JSON payload received. The member "{error.name}" is given under both of its names.'
        )
        raise _violation(error.name, message) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        *parents, member = first["loc"]
        if first["type"] == "extra_forbidden":
            parent = path_of(tuple(parents)) if parents else ""
            place = f" at '{parent}'" if parents else ""
            message = f'Invalid JSON payload received. Unknown name "{member}"{place}: Cannot find field.'
            raise _violation(parent, message) from error
        path, kind = path_of(first["loc"]), _TYPES.get(first["type"], "TYPE_MESSAGE")
        raise _violation(path, f"Invalid value at '{path}' ({kind}): {first['msg']}.") from error


def _violation(field: str, description: str) -> MalformedRequestError:
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


_STATUSES: Mapping[int, tuple[int, str]] = {
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
"""Google's canonical codes by HTTP status (google.rpc.Code)."""


def _status(status: int) -> tuple[int, str]:
    other = (400, "INVALID_ARGUMENT") if status < HTTPStatus.INTERNAL_SERVER_ERROR else (500, "INTERNAL")
    return _STATUSES.get(status, other)


def _body(problem: Problem) -> object:
    code, status = _status(problem.status)
    error: dict[str, object] = {"code": code, "message": problem.message, "status": status}
    if problem.details:
        error["details"] = problem.details
    return {"error": error}


GOOGLE = ErrorShape("Google's", GoogleError, _body, lambda status: _status(status)[0])
