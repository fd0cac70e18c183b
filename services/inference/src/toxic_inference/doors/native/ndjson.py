"""`POST /predict` as a stream of JSON lines: one answer per line, in order, of any length.

Invariant: memory is bounded: lines wait on disk, and no line is scored before the client has read the answers
to the previous ones. The request is read all the time, so that a client that sends everything before it reads
anything doesn't deadlock.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from itertools import count, repeat

import orjson
from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from toxic_inference.doors.native.answers import score_json
from toxic_inference.doors.native.line_spool import LineSpool
from toxic_inference.doors.native.schemas import NdjsonLine
from toxic_inference.events import RowRejected
from toxic_inference.http.backend import MODEL_VERSION_HEADER, Backend
from toxic_inference.http.body import path_of
from toxic_inference.http.door import NDJSON_TYPE
from toxic_inference.http.errors import problem_of
from toxic_inference.http.guard import caller_in
from toxic_inference.http.terms import terms_of
from toxic_inference.serving.errors import RejectedTextError
from toxic_inference.serving.interfaces import Lane, Session, Target, Text
from toxic_inference.serving.scoring.texts import check_text

_MOST_LINES_AT_ONCE = 256
_ESCAPED_BYTES = 6
"""Longest JSON form of one byte of text: a control character is `\\u0000`."""
_LINE_SLACK_BYTES = 1_024


@dataclass(frozen=True, slots=True)
class _Line:
    """A line with either a text or the reason why it can't be scored."""

    number: int
    id: str | int | None
    text: Text | None
    problem: dict[str, object] | None


async def answer_ndjson(request: Request, backend: Backend) -> Response:
    """Score a stream of lines, all by one version."""
    async with AsyncExitStack() as held:
        session = held.enter_context(backend.scorer.session(Target(), terms_of(request)))
        longest = backend.limits.text_bytes * _ESCAPED_BYTES + _LINE_SLACK_BYTES
        spool = held.enter_context(LineSpool(backend.threads.files, max_line_bytes=longest))
        answer = _DuplexResponse(
            request, spool, _answers(spool, session, backend, caller_in(request.scope)), held=held.pop_all()
        )
        answer.headers[MODEL_VERSION_HEADER] = session.version
        return answer


async def _answers(
    spool: LineSpool, session: Session, backend: Backend, caller: str
) -> AsyncGenerator[bytes]:
    number = 0
    while raw := await spool.take(_MOST_LINES_AT_ONCE):
        read: list[_Line | None] = await backend.threads.read.run(
            list, map(_read, raw, count(number + 1), repeat(backend)), caller=caller
        )
        number += len(raw)
        lines = [line for line in read if line is not None]
        texts = [line.text for line in lines if line.text is not None]
        scores = iter(await session.score(texts, lane=Lane.BULK) if texts else ())
        answers: list[bytes] = []
        for line in lines:
            answer: dict[str, object] = {"line": line.number}
            if line.id is not None:
                answer["id"] = line.id
            if line.problem is None:
                answer |= score_json(next(scores), session.contract.labels)
            else:
                answer["error"] = line.problem
                backend.emit(RowRejected(str(line.problem["code"])))
            answers.append(orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE))
        if answers:
            yield b"".join(answers)


def _read(raw: bytes | None, number: int, backend: Backend) -> _Line | None:
    """Return a line; None if it is empty."""
    if raw is None:
        return _bad(number, "line_too_long", f"Line {number} is too long.")
    if not raw.strip():
        return None
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return _bad(number, "malformed_request", f"Line {number} is not JSON: {error}.")
    try:
        line = NdjsonLine.model_validate({"text": value} if isinstance(value, str) else value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = path_of(first["loc"]) if first["loc"] else "the line"
        return _bad(number, "invalid_request", f"Line {number}, {where}: {first['msg']}.")
    try:
        check_text(line.text, field=f"Line {number}", max_bytes=backend.limits.text_bytes)
    except RejectedTextError as error:
        return _bad(number, problem_of(error).code, str(error), given_id=line.id)
    language = line.lang or line.language or backend.identify_language(line.text)
    return _Line(number, line.id, Text(line.text, language), None)


def _bad(number: int, code: str, message: str, *, given_id: str | int | None = None) -> _Line:
    return _Line(number, given_id, None, {"code": code, "message": message})


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
