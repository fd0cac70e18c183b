"""What the Perspective API says when a request can't be answered.

Messages and error types are the published ones (https://github.com/conversationai/perspectiveapi,
2-api/limits.md), and those of Google's API front end for JSON that doesn't fit a message.

Invariant: every error made here is a `MalformedRequestError`, status 400, with its details.
"""

from collections.abc import Sequence
from enum import StrEnum

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from toxic_inference.doors.perspective.messages import PACKAGE
from toxic_inference.http.body import JSON_TYPE, Model, path_of
from toxic_inference.http.errors import MalformedRequestError

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
"""Protocol buffers' names of what pydantic's errors expected; anything else is a message."""


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
    """Return an error of the Perspective API's own, with facts that its detail carries besides."""
    detail = {"@type": f"type.googleapis.com/{PACKAGE}.Error", "errorType": error_type.value, **facts}
    return MalformedRequestError(message, details=(detail,))


def unsupported_language(
    attribute: str, languages: Sequence[str], *, detected: bool
) -> MalformedRequestError:
    """Return the error for an attribute that isn't scored in a language.

    Args:
        attribute: its name.
        languages: the request's or the text's.
        detected: whether the caller left them to be identified.
    """
    named = "detectedLanguages" if detected else "requestedLanguages"
    return refusal(
        f"Attribute {attribute} does not support request languages: {', '.join(languages)}",
        ErrorType.LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE,
        languageNotSupportedByAttributeError={named: list(languages), "attribute": attribute},
    )


def read_message(model: type[Model], value: object) -> Model:
    """Return a JSON value as a message.

    Raises:
        MalformedRequestError: it doesn't fit; the message is that of Google's API front end.
    """
    if not isinstance(value, dict):
        raise _violation("", f"Invalid JSON payload received. The body must be a JSON object ({JSON_TYPE}).")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _misfit(error.errors(include_url=False)[0]) from error


def _misfit(error: ErrorDetails) -> MalformedRequestError:
    *parents, member = error["loc"]
    if error["type"] == "extra_forbidden":
        parent = path_of(tuple(parents))
        where = f" at '{parent}'" if parents else ""
        message = f'Invalid JSON payload received. Unknown name "{member}"{where}: Cannot find field.'
        return _violation(parent if parents else "", message)
    path = path_of(tuple(error["loc"]))
    kind = _TYPES.get(error["type"], "TYPE_MESSAGE")
    return _violation(path, f"Invalid value at '{path}' ({kind}): {error['msg']}.")


def _violation(field: str, description: str) -> MalformedRequestError:
    violation = {"field": field, "description": description} if field else {"description": description}
    detail = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}
    return MalformedRequestError(description, field=field or None, details=(detail,))
