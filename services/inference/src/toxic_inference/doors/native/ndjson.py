"""`POST /predict` as a stream of JSON lines: one answer per line, in order, of any length.

Invariant: memory is bounded: lines wait on disk, and no line is scored before the client has read the answers
to the previous ones. The request is read all the time, so that a client that sends everything before it reads
anything doesn't deadlock. A stream that waits for lines holds no version, so that it delays no promotion.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from functools import partial
from itertools import count

import orjson
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from toxic_core.errors import InvalidDataError, NoVersionReadyError, ToxicError, UnknownModelError
from toxic_core.languages import primary_language
from toxic_core.tables import TableOptions, cell_text, is_bytewise, language_column, text_column
from toxic_inference.doors.native.answers import score_json
from toxic_inference.doors.native.line_spool import LineSpool
from toxic_inference.events import RowRejected
from toxic_inference.http.backend import MODEL_VERSION_HEADER, Backend
from toxic_inference.http.body import strict_json
from toxic_inference.http.door import NDJSON_TYPE
from toxic_inference.http.encodings.forms import table_options
from toxic_inference.http.errors import MalformedRequestError, UnsupportedMediaTypeError, problem_of
from toxic_inference.http.guard import caller_in
from toxic_inference.http.terms import terms_of
from toxic_inference.serving.errors import InferenceError, RejectedTextError
from toxic_inference.serving.interfaces import Lane, Session, Target, Text
from toxic_inference.serving.scoring.texts import check_text

_log = structlog.get_logger(__name__)

_MOST_LINES_AT_ONCE = 256
_ESCAPED_BYTES = 6
"""Longest JSON form of one byte of text: a control character is `\\u0000`."""
_LINE_SLACK_BYTES = 1_024
_GO_ON = "; send the lines after line {} in a new request."


@dataclass(frozen=True, slots=True)
class _Line:
    """A line with either a text or the reason why it can't be scored."""

    number: int
    id: object
    text: Text | None
    problem: dict[str, object] | None


async def answer_ndjson(request: Request, backend: Backend) -> Response:
    """Score a stream of lines, all by one version; the stream ends early if that is unloaded meanwhile."""
    options = table_options(request, {}, content_type=request.headers.get("content-type", ""))
    if not is_bytewise(options.encoding or "utf-8"):
        raise UnsupportedMediaTypeError("A stream of lines must be in UTF-8.", field="Content-Type")
    with backend.scorer.session(Target(), terms_of(request)) as session:
        version = session.version
    async with AsyncExitStack() as held:
        longest = backend.limits.text_bytes * _ESCAPED_BYTES + _LINE_SLACK_BYTES
        spool = held.enter_context(LineSpool(backend.threads.files, max_line_bytes=longest))
        lines = _answers(request, spool, backend, version=version, options=options)
        answer = _DuplexResponse(request, spool, lines, held=held.pop_all())
        answer.headers[MODEL_VERSION_HEADER] = version
        return answer


async def _answers(
    request: Request, spool: LineSpool, backend: Backend, *, version: str, options: TableOptions
) -> AsyncGenerator[bytes]:
    number, caller = 0, caller_in(request.scope)
    read_line = partial(_read, backend=backend, options=options)
    try:
        while await spool.wait():
            with backend.scorer.session(Target(version=version), terms_of(request)) as session:
                while raw := await spool.take(_MOST_LINES_AT_ONCE):
                    read: list[_Line | None] = await backend.threads.read.run(
                        list, map(read_line, raw, count(number + 1)), caller=caller
                    )
                    answers = await _score([line for line in read if line is not None], session, backend)
                    number += len(raw)
                    if answers:
                        yield answers
    except (NoVersionReadyError, UnknownModelError):
        yield _end("no_version_ready", f"Version {version} was replaced{_GO_ON.format(number)}")
    except InferenceError as error:
        _log.exception("stream.failed", line=number)
        problem = problem_of(error)
        yield _end(problem.code, f"{problem.message} The lines after line {number} have no scores.")
    except ToxicError as error:
        problem = problem_of(error)
        yield _end(problem.code, f"{problem.message.removesuffix('.')}{_GO_ON.format(number)}")


def _end(code: str, message: str) -> bytes:
    """Return the last line of an answer that ends early."""
    return orjson.dumps({"error": {"code": code, "message": message}}, option=orjson.OPT_APPEND_NEWLINE)


async def _score(lines: list[_Line], session: Session, backend: Backend) -> bytes:
    texts = [line.text for line in lines if line.text is not None]
    scores = iter(await session.score(texts, lane=Lane.BULK) if texts else ())
    answers: list[bytes] = []
    for line in lines:
        answer: dict[str, object] = {"line": line.number}
        if line.id is not None:
            answer["id"] = line.id
        if line.text is not None:
            answer |= score_json(next(scores), line.text.language, session.contract)
        elif line.problem is not None:
            answer["error"] = line.problem
            backend.emit(RowRejected(str(line.problem["code"])))
        answers.append(orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE))
    return b"".join(answers)


class _BadLineError(Exception):
    """Why a line can't be scored: a code, and what follows its number in the message."""


def _read(raw: bytes | None, number: int, backend: Backend, options: TableOptions) -> _Line | None:
    """Return a line; None if it is empty."""
    if raw is not None and not raw.strip():
        return None
    given_id: object = None
    try:
        members = _members(raw, options.encoding or "utf-8")
        given_id = _writable(members.get("id"))
        text, language = _text_of(members, options)
        check_text(text, field=f"Line {number}", max_bytes=backend.limits.text_bytes)
    except _BadLineError as error:
        code, reason = error.args
        # A reason may name a member, with half of a surrogate pair.
        message = f"Line {number} {reason}".encode(errors="backslashreplace").decode()
        return _Line(number, given_id, None, {"code": code, "message": message})
    except RejectedTextError as error:
        return _Line(number, given_id, None, {"code": problem_of(error).code, "message": str(error)})
    return _Line(number, given_id, Text(text, language or backend.identify_language(text).language), None)


def _writable(given_id: object) -> object:
    try:
        orjson.dumps([given_id])  # as deep as in the answer
    except TypeError as error:
        raise _BadLineError("invalid_request", f"has an id that can't be sent back: {error}.") from error
    return given_id


def _members(raw: bytes | None, encoding: str) -> dict[str, object]:
    if raw is None:
        raise _BadLineError("line_too_long", "is too long.")
    try:
        line = raw.decode(encoding).removeprefix("\ufeff")
        value = strict_json(line)
    except UnicodeDecodeError as error:
        raise _BadLineError("invalid_utf8", f"contains bytes that are not {encoding.upper()}.") from error
    except (ValueError, RecursionError, MalformedRequestError) as error:
        raise _BadLineError("malformed_request", f"is not JSON: {error}") from error
    if isinstance(value, str):
        return {"text": value}
    if not isinstance(value, dict):
        raise _BadLineError("invalid_request", "is neither a JSON object nor a text.")
    return value


def _text_of(members: dict[str, object], options: TableOptions) -> tuple[str, str | None]:
    """Return a line's text and its language; other members are ignored, as a table's other columns."""
    names, cells = tuple(members), tuple(members.values())
    try:
        text = cells[text_column(names, chosen=options.text_column)]
        language = language_column(names)
    except InvalidDataError as error:
        raise _BadLineError("invalid_request", f"can't be read. {error}") from error
    if not isinstance(text, str):
        raise _BadLineError("invalid_text", "has a text that is no string.")
    return text, None if language is None else primary_language(cell_text(cells[language]).strip())


class _DuplexResponse(Response):
    """Answers while the request is still being received; Starlette's responses would consume its messages."""

    def __init__(
        self, request: Request, spool: LineSpool, lines: AsyncGenerator[bytes], *, held: AsyncExitStack
    ) -> None:
        super().__init__(media_type=NDJSON_TYPE)
        del self.headers["content-length"]
        self._request = request
        self._spool = spool
        self._lines = lines
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  ASGI
        async with self._held, aclosing(self._lines) as lines:
            reading = asyncio.create_task(self._read())
            try:
                await send(
                    {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
                )
                async for part in lines:
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    async def _read(self) -> None:
        try:
            async for part in self._request.stream():
                await self._spool.write(part)
            self._spool.close()
            while (await self._request.receive())["type"] != "http.disconnect":
                pass
            self._spool.fail(ClientDisconnect())
        except Exception as error:  # noqa: BLE001  raised again by `LineSpool.take`
            self._spool.fail(error)
