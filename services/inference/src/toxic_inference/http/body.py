"""Bodies: content types, strict JSON, clients that disconnect, answers that hold something until they end.

Invariant: JSON is read strictly (RFC 8259): NaN, duplicate keys and too much nesting are a
`MalformedRequestError` that names the place.
"""

import asyncio
import codecs
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import TypeVar

import numpy as np
import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from toxic_inference.http.door import JSON_TYPE, media_type_of
from toxic_inference.http.errors import (
    InvalidRequestError,
    MalformedRequestError,
    TooManyTextsError,
    UnsupportedMediaTypeError,
)
from toxic_inference.http.guard import caller_in
from toxic_inference.serving.scoring.texts import half_surrogate
from toxic_inference.threads import Threads

MOST_VALUES = 10_000
"""Values in the JSON of a request for one text."""

_ON_THE_LOOP_BYTES = 64 * 1024
_VALUE_MARKS = b",[{"
_OTHER_BYTES = bytes(set(range(256)) - set(_VALUE_MARKS))

Model = TypeVar("Model", bound=BaseModel)
Answer = TypeVar("Answer")


def check_media_type(request: Request, accepted: tuple[str, ...] = (JSON_TYPE,), *, default: str = "") -> str:
    """Return the body's media type in lower case, without parameters; for a synonym, the type that it means.

    Args:
        request: the request.
        accepted: the media types that are read.
        default: the media type of a body without a Content-Type.

    Raises:
        UnsupportedMediaTypeError: it is not in `accepted`.
    """
    found = media_type_of(request.scope) or default
    if found not in accepted:
        problem = f"The media type {found!r} is not accepted" if found else "The request has no Content-Type"
        raise UnsupportedMediaTypeError(
            f"{problem}; set Content-Type to {', '.join(accepted)}.", field="Content-Type"
        )
    return found


async def read_json(request: Request) -> object:
    """Return the JSON value of a small body; raises as `parse_json`."""
    return parse_json(await request.body())


async def read_body(request: Request, threads: Threads, read: Callable[[bytes], Answer]) -> Answer:
    """Return what `read` makes of the body; of a large body on a thread."""
    body = await request.body()
    if len(body) <= _ON_THE_LOOP_BYTES:
        return read(body)
    return await threads.run(read, body, caller=caller_in(request.scope))


def parse_json(
    body: bytes,
    *,
    most_values: int = MOST_VALUES,
    fallback: Callable[[str], object] | None = None,
) -> object:
    """Return the JSON value in `body`.

    Args:
        body: the bytes.
        most_values: most elements, members, lists and objects; counted before any is made.
        fallback: reads a text that isn't strict JSON; raises `json.JSONDecodeError` if it can't.

    Raises:
        MalformedRequestError: it is not JSON.
        TooManyTextsError: it has too many values.
        RejectedTextError: a text or a name in it isn't valid Unicode.
    """
    # A value takes a byte at least.
    if len(body) > most_values and (found := _count_values(body, enough=most_values)) > most_values:
        raise TooManyTextsError(
            f"The JSON has about {found:,} values; the limit is {most_values:,}. Send several requests.",
            field="body",
        )
    try:
        # JSON has no byte order mark, but some clients send one.
        text = body.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        raise MalformedRequestError(f"The body is not UTF-8: byte {error.start + 1} is invalid.") from error
    try:
        try:
            value = strict_json(text)
        except json.JSONDecodeError:
            if fallback is None:
                raise
            value = fallback(text)
        if b"\\u" in body:  # only an escape makes half a surrogate pair
            _check_unicode(value)
    except json.JSONDecodeError as error:
        raise MalformedRequestError(
            f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from error
    except RecursionError as error:
        raise MalformedRequestError("The JSON is nested too deeply.") from error
    except ValueError as error:  # Python refuses integers of more than 4,300 digits
        raise MalformedRequestError(f"The JSON has a number that can't be read: {error}") from error
    return value


def strict_json(text: str) -> object:
    """Return the JSON value in `text`; raises `json.JSONDecodeError` or `MalformedRequestError`."""
    value: object = _DECODER.decode(text)
    return value


def unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return the members of an object; raises `MalformedRequestError` if a key is there twice."""
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise MalformedRequestError(f"The JSON has the key {json.dumps(key[:50])} twice.")
            seen.add(key)
    return members


def refuse_constant(name: str) -> object:
    """Raise `MalformedRequestError`: NaN and the infinities are not JSON."""
    raise MalformedRequestError(f"The JSON has {name}, which is not a JSON number.")


_DECODER = json.JSONDecoder(object_pairs_hook=unique_keys, parse_constant=refuse_constant)


def _count_values(body: bytes, *, enough: int) -> int:
    """Return the number of commas, lists and objects in a JSON text; an upper bound if that is `enough`."""
    most = len(body.translate(None, _OTHER_BYTES))
    if most <= enough:
        return most
    # Without escaped quotes, a character is outside of strings if it has an even number of quotes before it.
    codes = np.frombuffer(body.replace(b"\\\\", b"").replace(b'\\"', b""), dtype=np.uint8)
    outside = np.cumsum(codes == ord('"'), dtype=np.uint8) % 2 == 0
    return sum(int(np.count_nonzero((codes == mark) & outside)) for mark in _VALUE_MARKS)


def _check_unicode(value: object) -> None:
    """Raise `RejectedTextError` if a text in a JSON value has half a surrogate pair."""
    try:
        orjson.dumps(value)  # ten times as fast as the search, which finds the place
    except orjson.JSONEncodeError:
        _find_half_surrogate(value, ())


def _find_half_surrogate(value: object, place: tuple[int | str, ...]) -> None:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise half_surrogate(path_of(place), error) from error
    elif isinstance(value, dict):
        for name, member in value.items():
            _find_half_surrogate(name, (*place, "a name"))
            _find_half_surrogate(member, (*place, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _find_half_surrogate(item, (*place, index))


def validate(model: type[Model], value: object) -> Model:
    """Return `value` as `model`.

    Raises:
        InvalidRequestError: it does not fit; the message names the first field at fault.
    """
    if not isinstance(value, dict):
        raise InvalidRequestError("The body must be a JSON object; /docs shows one.", field="body")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        message = first["msg"]
        if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
            message = f"Unknown field; the fields are {', '.join(model.model_fields)}"
        raise InvalidRequestError(
            f"{path_of(first['loc'])}: {message}.", field=path_of(first["loc"])
        ) from error


def path_of(loc: tuple[int | str, ...]) -> str:
    """Return pydantic's `loc` as a path into the JSON value, such as `texts[3].lang`."""
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path or "body"


async def unless_departed(request: Request, work: Awaitable[Answer]) -> Answer:
    """Await `work`, and cancel it if the client disconnects.

    The request's body must have been read.

    Raises:
        ClientDisconnect: the client disconnected.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  a request is always handled in one
    cancelled_before, working = task.cancelling(), True

    async def departure() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    def left(leaving: asyncio.Future[None]) -> None:
        if working and not leaving.cancelled():
            task.cancel()

    leaving = asyncio.ensure_future(departure())
    leaving.add_done_callback(left)
    try:
        return await work
    except asyncio.CancelledError:
        # `asyncio.timeout` distinguishes its own cancellation from others' in the same way.
        if leaving.done() and task.uncancel() <= cancelled_before:
            raise ClientDisconnect from None
        raise
    finally:
        working = False
        leaving.cancel()


class HoldingResponse(StreamingResponse):
    """A streamed answer that releases its resources once it is sent or the client disconnected."""

    def __init__(
        self,
        body: AsyncIterator[bytes],
        *,
        held: AsyncExitStack,
        headers: Mapping[str, str],
        status_code: int = HTTPStatus.OK,
        media_type: str | None = None,
    ) -> None:
        super().__init__(body, status_code=status_code, media_type=media_type, headers=headers)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        async with self._held:
            await super().__call__(scope, receive, send)
