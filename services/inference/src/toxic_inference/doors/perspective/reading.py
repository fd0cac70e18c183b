"""Reading the messages of the Perspective API as Google's API front end reads them.

Invariant: an ordinary body, strict JSON of the published types, is parsed and validated once. Relaxed JSON
and coercions are tried only if that fails.
"""

from contextlib import suppress

from pydantic import ValidationError
from starlette.requests import Request

from toxic_inference.doors.perspective.coercion import DuplicateMemberError, coerce
from toxic_inference.doors.perspective.problems import refusal, violation
from toxic_inference.http.body import Model, check_media_type, parse_json, path_of
from toxic_inference.http.door import JSON_TYPE
from toxic_inference.http.encodings.relaxed_json import parse_relaxed_json
from toxic_inference.serving.errors import RejectedTextError

_MEDIA_TYPES = (JSON_TYPE, "text/plain")
_TYPES = {
    "string_type": "TYPE_STRING",
    "string_too_long": "TYPE_STRING",
    "bool_type": "TYPE_BOOL",
    "float_type": "TYPE_FLOAT",
    "finite_number": "TYPE_FLOAT",
    "int_type": "TYPE_INT32",
    "greater_than_equal": "TYPE_INT32",
    "less_than": "TYPE_INT32",
    "enum": "TYPE_ENUM",
}
"""Protocol buffers' names for the types in pydantic's errors; any other type is a message."""


async def read_request(request: Request, model: type[Model]) -> Model:
    """Return the body as a message. An empty body is an empty message.

    Raises:
        UnsupportedMediaTypeError: the body is declared to be something else than JSON or plain text.
        MalformedRequestError: it is not JSON, or does not fit the message.
    """
    check_media_type(request, _MEDIA_TYPES, default=JSON_TYPE)
    body = await request.body()
    try:
        value = parse_json(body, fallback=parse_relaxed_json) if body.strip() else {}
    except RejectedTextError as error:
        raise refusal(str(error)) from error
    return read_message(model, value)


def read_message(model: type[Model], value: object) -> Model:
    """Return a JSON value as a message; what doesn't fit is coerced as protobuf's reader does.

    Raises:
        MalformedRequestError: it does not fit; the message is that of Google's API front end.
    """
    if not isinstance(value, dict):
        raise violation("", f"Invalid JSON payload received. The body must be a JSON object ({JSON_TYPE}).")
    with suppress(ValidationError):
        return model.model_validate(value)
    try:
        return model.model_validate(coerce(model, value))
    except DuplicateMemberError as error:
        message = f'Invalid JSON payload received. The member "{error.name}" is given under both its names.'
        raise violation(error.name, message) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        *parents, member = first["loc"]
        if first["type"] == "extra_forbidden":
            parent = path_of(tuple(parents)) if parents else ""
            place = f" at '{parent}'" if parents else ""
            message = f'Invalid JSON payload received. Unknown name "{member}"{place}: Cannot find field.'
            raise violation(parent, message) from error
        path, kind = path_of(first["loc"]), _TYPES.get(first["type"], "TYPE_MESSAGE")
        raise violation(path, f"Invalid value at '{path}' ({kind}): {first['msg']}.") from error
