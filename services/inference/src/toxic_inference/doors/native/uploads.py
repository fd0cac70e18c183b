"""Forms and CSV files of `POST /predict`.

Invariant: an upload is spooled, never held whole in memory; and the file and the version that scores it are
held until the last byte of the answer is sent, or its caller left.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import chain
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

import orjson
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from toxic_inference.events import RowRejected
from toxic_inference.http.backend import MODEL_VERSION_HEADER, Doors
from toxic_inference.http.body import JSON_TYPE, unless_departed
from toxic_inference.http.errors import InvalidRequestError, RowProblem
from toxic_inference.http.schemas import LANGUAGE_PATTERN, primary_language
from toxic_inference.serving.interfaces import Session, Target, Text
from toxic_inference.serving.scoring.texts import check_text
from toxic_inference.tables.reader import CsvRow, CsvTable
from toxic_inference.tables.scoring import first_scored, score_rows
from toxic_inference.tables.writer import ScoredRow, csv_header, csv_rows, score_json

FORM_TYPES = ("multipart/form-data", "application/x-www-form-urlencoded")
CSV_TYPE = "text/csv"

_MAX_FORM_FIELDS = 16
_MAX_ERRORS = 10_000
_SPOOL_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Form:
    message: Text | None
    file: UploadFile | None
    language: str | None


@dataclass(frozen=True, slots=True)
class _Rows:
    """What is to be scored, and the columns it came with."""

    header: tuple[str, ...]
    rows: Iterator[CsvRow]


async def answer_form(request: Request, doors: Doors) -> Response:
    """Score a form's `message`, its CSV `file`, or both."""
    async with AsyncExitStack() as held:
        form = await request.form(
            max_files=1, max_fields=_MAX_FORM_FIELDS, max_part_size=doors.limits.body_bytes
        )
        held.push_async_callback(form.close)
        parsed = _parse_form(form, doors)
        if parsed.file is None:
            rows = _Rows(header=("content",), rows=iter(()))
            text_column = 0
        else:
            table = await _open_table(parsed.file.file, doors, language=parsed.language)
            rows = _Rows(header=table.header, rows=table.rows())
            text_column = table.text_column
        if parsed.message is not None:
            rows = _with_message(rows, parsed.message, text_column=text_column)
        return await _answer_rows(request, doors, rows, held)


async def answer_csv(request: Request, doors: Doors) -> Response:
    """Score a CSV file that is the whole body."""
    async with AsyncExitStack() as held:
        spool = SpooledTemporaryFile(max_size=_SPOOL_BYTES)  # noqa: SIM115  `held` closes it
        held.callback(spool.close)
        async for part in request.stream():
            await asyncio.to_thread(spool.write, part)
        spool.seek(0)
        table = await _open_table(cast("BinaryIO", spool), doors, language=None)
        return await _answer_rows(request, doors, _Rows(table.header, table.rows()), held)


def _parse_form(form: FormData, doors: Doors) -> _Form:
    language = _value(form, "lang") or _value(form, "language")
    if language and not LANGUAGE_PATTERN.fullmatch(language):
        raise InvalidRequestError("lang must be a language code such as en.", field="lang")
    language = primary_language(language)
    file = _file(form)
    message = _value(form, "message")
    if file is not None and not message:
        return _Form(message=None, file=file, language=language)
    if message is None:
        raise InvalidRequestError(
            f"The form has neither message nor file. For JSON, set Content-Type to {JSON_TYPE}.",
            field="message",
        )
    check_text(message, field="message", max_bytes=doors.limits.text_bytes)
    return _Form(message=Text(message, language), file=file, language=language)


def _value(form: FormData, name: str) -> str | None:
    value = _single(form, name)
    if isinstance(value, UploadFile):
        raise InvalidRequestError(f"{name} must be a value, not a file.", field=name)
    return value


def _file(form: FormData) -> UploadFile | None:
    value = _single(form, "file")
    if isinstance(value, str) and value:
        raise InvalidRequestError("file must be an uploaded file, not a value.", field="file")
    if not isinstance(value, UploadFile) or (not value.filename and not value.size):
        return None  # a browser sends a nameless, empty file where none was chosen
    return value


def _single(form: FormData, name: str) -> UploadFile | str | None:
    values = form.getlist(name)
    if len(values) > 1:
        raise InvalidRequestError(f"The form has {len(values)} fields {name}; send one.", field=name)
    return values[0] if values else None


async def _open_table(stream: BinaryIO, doors: Doors, *, language: str | None) -> CsvTable:
    return await asyncio.to_thread(
        CsvTable, stream, max_text_bytes=doors.limits.text_bytes, language=language
    )


def _with_message(rows: _Rows, message: Text, *, text_column: int) -> _Rows:
    cells = [""] * len(rows.header)
    cells[text_column] = message.content
    row = CsvRow(line=None, cells=tuple(cells), text=message, problem=None)
    return _Rows(rows.header, chain((row,), rows.rows))


async def _answer_rows(request: Request, doors: Doors, rows: _Rows, held: AsyncExitStack) -> Response:
    session = held.enter_context(doors.scorer.session(Target()))
    chunks = score_rows(rows.rows, session)
    held.push_async_callback(chunks.aclose)
    first = await unless_departed(request, first_scored(chunks))
    all_chunks = _counted(_chained(first, chunks), doors)
    headers = {MODEL_VERSION_HEADER: session.version}
    if CSV_TYPE in request.headers.get("accept", "").lower():
        headers["content-disposition"] = 'attachment; filename="scores.csv"'
        body, kind = _csv_body(all_chunks, rows.header, session), f"{CSV_TYPE}; charset=utf-8"
    else:
        body, kind = _json_body(all_chunks, doors.model_name, session), JSON_TYPE
    return _HoldingResponse(body, held=held.pop_all(), media_type=kind, headers=headers)


async def _chained(
    first: list[ScoredRow], rest: AsyncIterator[list[ScoredRow]]
) -> AsyncIterator[list[ScoredRow]]:
    yield first
    async for chunk in rest:
        yield chunk


async def _counted(chunks: AsyncIterator[list[ScoredRow]], doors: Doors) -> AsyncIterator[list[ScoredRow]]:
    async for chunk in chunks:
        for scored in chunk:
            if scored.row.problem is not None:
                doors.emit(RowRejected(scored.row.problem.code))
        yield chunk


async def _csv_body(
    chunks: AsyncIterator[list[ScoredRow]], header: tuple[str, ...], session: Session
) -> AsyncIterator[bytes]:
    yield csv_header(header).encode()
    async for chunk in chunks:
        yield csv_rows(chunk, width=len(header), model_version=session.version).encode()


async def _json_body(
    chunks: AsyncIterator[list[ScoredRow]], model_name: str, session: Session
) -> AsyncIterator[bytes]:
    model = orjson.dumps({"model_name": model_name, "model_version": session.version})
    yield model.removesuffix(b"}") + b',"results":['
    problems: list[RowProblem] = []
    scored = rejected = 0
    async for chunk in chunks:
        results = [score_json(row.score, line=row.row.line) for row in chunk if row.score is not None]
        bad = [row.row.problem for row in chunk if row.row.problem is not None]
        problems += bad[: _MAX_ERRORS - len(problems)]
        if results:
            yield (b"," if scored else b"") + orjson.dumps(results)[1:-1]
        scored += len(results)
        rejected += len(bad)
    errors = [{"line": p.line, "code": p.code, "message": p.message} for p in problems]
    tail = orjson.dumps({"errors": errors, "scored": scored, "rejected": rejected})
    yield b"]," + tail.removeprefix(b"{")


class _HoldingResponse(StreamingResponse):
    """A streamed answer that lets go of what it needed once it is sent, or its caller left."""

    def __init__(
        self, body: AsyncIterator[bytes], *, held: AsyncExitStack, media_type: str, headers: dict[str, str]
    ) -> None:
        super().__init__(body, media_type=media_type, headers=headers)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._held:
            await super().__call__(scope, receive, send)
