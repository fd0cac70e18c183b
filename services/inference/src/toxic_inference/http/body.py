"""Reading requests: content types, strict JSON, and callers who leave.

Invariant: JSON is read as RFC 8259 has it: no NaN, no key twice, no depth that breaks the reader; whatever
doesn't fit is a `MalformedRequestError` that says where.
"""

import asyncio
import json
from collections.abc import Awaitable
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from toxic_inference.http.errors import (
    InvalidRequestError,
    MalformedRequestError,
    UnsupportedMediaTypeError,
)

JSON_TYPE = "application/json"

Model = TypeVar("Model", bound=BaseModel)
Answer = TypeVar("Answer")


def media_type(request: Request) -> str:
    """Return the body's content type, lower case, without parameters; empty where there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def check_media_type(request: Request, accepted: tuple[str, ...]) -> str:
    """Return the body's content type, if it is one of `accepted`.

    Raises:
        UnsupportedMediaTypeError: it isn't.
    """
    found = media_type(request)
    if found not in accepted:
        said = f"{found!r} isn't" if found else "No content type isn't"
        raise UnsupportedMediaTypeError(
            f"{said} read here; set Content-Type to {', '.join(accepted)}.", field="Content-Type"
        )
    return found


async def read_json(request: Request) -> object:
    """Return the body's JSON value.

    Raises:
        MalformedRequestError: it isn't JSON.
    """
    return parse_json(await request.body())


def parse_json(body: bytes) -> object:
    """Return the JSON value that `body` is; raises as `read_json`."""
    try:
        # The byte order mark isn't JSON's, but some clients send one.
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedRequestError(f"The body isn't UTF-8: byte {error.start + 1} is invalid.") from error
    try:
        value: object = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise MalformedRequestError(
            f"The body isn't JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from error
    except RecursionError as error:
        raise MalformedRequestError("The JSON is nested too deeply.") from error
    except ValueError as error:  # Python refuses integers of more than 4,300 digits
        raise MalformedRequestError(f"The JSON holds a number that can't be read: {error}") from error
    return value


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise MalformedRequestError(f"The JSON has the key {_shown(key)} twice.")
            seen.add(key)
    return members


def _shown(key: str) -> str:
    return json.dumps(key[:50])


def _refuse_constant(name: str) -> object:
    raise MalformedRequestError(f"The JSON holds {name}, which isn't a JSON number.")


def validate(model: type[Model], value: object) -> Model:
    """Return `value` as `model`.

    Raises:
        InvalidRequestError: it doesn't fit; the message names the first field at fault.
    """
    if not isinstance(value, dict):
        raise InvalidRequestError("The body must be a JSON object; /docs shows one.", field="body")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InvalidRequestError(
            f"{path_of(first['loc'])}: {first['msg']}.", field=path_of(first["loc"])
        ) from error


def path_of(loc: tuple[int | str, ...]) -> str:
    """Return where in a JSON value pydantic's `loc` is, such as `texts[3].lang`."""
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path or "body"


async def unless_departed(request: Request, work: Awaitable[Answer]) -> Answer:
    """Await `work`, and cancel it when the caller leaves, so that nothing is computed for nobody.

    The request's body must have been read.

    Raises:
        ClientDisconnect: the caller left.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  a request is always handled in one
    cancelled_before, working = task.cancelling(), True

    def left(leaving: asyncio.Future[None]) -> None:
        if working and not leaving.cancelled():
            task.cancel()

    leaving = asyncio.ensure_future(_departure(request))
    leaving.add_done_callback(left)
    try:
        return await work
    except asyncio.CancelledError:
        # As `asyncio.timeout` tells its own cancelling from others'.
        if leaving.done() and task.uncancel() <= cancelled_before:
            raise ClientDisconnect from None
        raise
    finally:
        working = False
        leaving.cancel()


async def _departure(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
