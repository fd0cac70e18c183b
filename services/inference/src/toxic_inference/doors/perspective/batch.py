"""Google's batch endpoint: many requests of the API as the parts of one multipart/mixed body.

https://developers.google.com/calendar/api/guides/batch. Each part is a whole request, and passes the
application like any other: it has its own key, quota, status and metrics. Their texts are scored together,
in batches of the token budget, and wait for capacity as files do.

Invariant: the answer has one part per request, in order; a part that fails doesn't affect the others. A part
is copied out of the body when it is its turn, so that a large batch needs little more memory than its body.
"""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from urllib.parse import unquote, urlsplit

import orjson
from python_multipart.multipart import parse_options_header
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Message, Scope

from toxic_inference.doors.perspective.problems import GOOGLE, refusal
from toxic_inference.http.backend import Backend
from toxic_inference.http.body import unless_departed
from toxic_inference.http.door import JSON_TYPE
from toxic_inference.http.errors import Problem, problem_of, too_large
from toxic_inference.http.terms import BULK

MAX_PARTS = 1_000
MAX_BYTES = MAX_PARTS * 60 * 1024
"""Largest batch, decompressed: some clients send each text twice, percent-encoded in its Content-ID too."""
PATHS = ("/batch", "/batch/commentanalyzer/v1alpha1")

_AT_ONCE = 128
"""Parts that are answered at the same time: enough for full batches of the model."""
_CALLS = "/v1alpha1/"
"""What a part may call; never the batch endpoint itself."""

_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_REQUEST_LINE = re.compile(r"([A-Z]{1,16}) (\S{1,8192})(?: HTTP/[0-9.]{1,3})?")
_OF_THE_WHOLE = frozenset(
    {"accept-encoding", "connection", "expect", "host", "keep-alive", "origin", "te", "transfer-encoding"}
)
"""Headers of the batch that its parts don't inherit, beside `Content-…`."""
_ANSWERED = ("content-type", "retry-after", "x-")
"""Beginnings of the headers that the parts of the answer have."""

Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Part:
    """A request in a batch: its `Content-ID`, and itself if it can be read."""

    content_id: str
    method: str
    target: str
    headers: Headers
    body: bytes


_UNREAD = _Part("", "", "", {}, b"")


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Headers
    body: bytes


async def batch(request: Request, backend: Backend) -> Response:
    """Answer many requests at once, as Google's clients send them: a part of a multipart body each."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/mixed" or not (boundary := options.get(b"boundary")):
        raise refusal("Failed to parse batch request: its type must be multipart/mixed with a boundary.")
    # Counted before any is read: a body of empty parts has millions.
    body = await request.body()
    pieces = list(islice(_pieces(body, boundary), MAX_PARTS + 1))
    if not 0 < len(pieces) <= MAX_PARTS:
        raise refusal(f"Failed to parse batch request: it must have 1 to {MAX_PARTS:,} calls.")
    at_once, name = asyncio.Semaphore(_AT_ONCE), f"batch_{uuid.uuid4().hex}"

    async def answered(piece: slice) -> bytes:
        async with at_once:
            if piece.stop - piece.start > backend.limits.body_bytes:
                return _written(_UNREAD, _refused(problem_of(too_large(backend.limits.body_bytes))), name)
            part = _part(body[piece])
            return _written(part, await _answered(part, request), name)

    written = await unless_departed(request, asyncio.gather(*map(answered, pieces)))

    async def parts() -> AsyncIterator[bytes]:
        for each in written:
            yield each
        yield f"--{name}--\r\n".encode()

    return StreamingResponse(parts(), media_type=f"multipart/mixed; boundary={name}")


async def _answered(part: _Part, batch: Request) -> _Answer:
    scope = _scope_of(part, batch) if part.method else None
    if scope is None:
        return _refused(problem_of(refusal("Failed to parse the part: it is not an HTTP request.")))
    if not scope["path"].startswith(_CALLS):
        message = f"There is no {scope['path'][:200]} in this API."
        return _refused(Problem(HTTPStatus.NOT_FOUND, "not_found", message))
    return await _call(batch.app, scope, part.body)


def _pieces(body: bytes, boundary: bytes) -> Iterator[slice]:
    """Yield the places of a multipart body's parts; lines may end in a line feed, as Python's do.

    Raises:
        MalformedRequestError: its end is missing.
    """
    delimiter = re.compile(rb"(?:\A|\r?\n)--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r?\n|\Z)")
    begin: int | None = None
    for found in delimiter.finditer(body):
        if begin is not None:
            yield slice(begin, found.start())
        if found[1]:
            return
        begin = found.end()
    raise refusal("Failed to parse batch request: the boundary at its end is missing.")


def _part(piece: bytes) -> _Part:
    head, inner = _halves(piece.removeprefix(b"\r").removeprefix(b"\n"))
    content_id = _headers(head.split(b"\n")).get("content-id", "")
    request, body = _halves(inner)
    first, *lines = request.split(b"\n")
    found = _REQUEST_LINE.fullmatch(first.decode("latin-1").strip())
    method, target = found.groups() if found else ("", "")
    return _Part(content_id, method, target, _headers(lines), body)


def _halves(piece: bytes) -> tuple[bytes, bytes]:
    """Return the head, with folded lines joined, and the body, of a part or of the request in it."""
    head, *body = _BLANK_LINE.split(piece, maxsplit=1)
    return _FOLD.sub(b" ", head), b"".join(body)


def _headers(lines: Iterable[bytes]) -> dict[str, str]:
    pairs = (line.decode("latin-1").partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs if value}


def _scope_of(part: _Part, batch: Request) -> Scope | None:
    """Return a part as a request of its own; it inherits what the batch has and the part doesn't.

    None if its target is no address.
    """
    inherited = {
        name: value
        for name, value in batch.headers.items()
        if name not in _OF_THE_WHOLE and not name.startswith("content-")
    }
    headers = {**inherited, **part.headers, "host": batch.headers.get("host", "")}
    # A part's answer has no coding of its own: Google's clients ask for one, and can't read it.
    headers.pop("accept-encoding", None)
    try:
        url = urlsplit(part.target)
    except ValueError:
        return None
    path = f"/{url.path.lstrip('/')}"
    query = b"&".join(each for each in (batch.scope["query_string"], url.query.encode("latin-1")) if each)
    return {
        **{
            name: batch.scope.get(name)
            for name in ("type", "asgi", "http_version", "scheme", "client", "server")
        },
        "root_path": "",
        "method": part.method,
        "path": unquote(path),
        "raw_path": path.encode("latin-1"),
        "query_string": query,
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
        BULK: True,
    }


async def _call(app: ASGIApp, scope: Scope, body: bytes) -> _Answer:
    """Let the application answer one request."""
    unread, never = [body], asyncio.Event()
    status, headers, parts = int(HTTPStatus.INTERNAL_SERVER_ERROR), {}, []

    async def receive() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        await never.wait()  # that the client left is noticed by the whole batch
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in message["headers"]}
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, send)
    return _Answer(status, headers, b"".join(parts))


def _refused(problem: Problem) -> _Answer:
    headers = {"content-type": JSON_TYPE}
    return _Answer(GOOGLE.status(problem), headers, orjson.dumps(GOOGLE.body(problem)))


def _written(part: _Part, answer: _Answer, boundary: str) -> bytes:
    opening = "<" if part.content_id.startswith("<") else ""
    lines = [f"--{boundary}", "Content-Type: application/http"]
    if part.content_id:
        lines.append(f"Content-ID: {opening}response-{part.content_id.removeprefix(opening)}")
    lines += ["", f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items() if name.startswith(_ANSWERED)]
    lines += [f"content-length: {len(answer.body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + answer.body + b"\r\n"
