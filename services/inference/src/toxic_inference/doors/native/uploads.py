"""Forms and tables of `POST /predict`.

Invariant: an upload is spooled to disk, never read whole into memory; the file and the version that scores it
are held until the last byte of the answer is sent or the client disconnects.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

import orjson
from starlette.requests import Request
from starlette.responses import Response

from toxic_core.tables import RowProblem, TableOptions
from toxic_inference.doors.native.answers import score_json
from toxic_inference.events import RowRejected
from toxic_inference.http.backend import MODEL_VERSION_HEADER, Backend
from toxic_inference.http.body import HoldingResponse, unless_departed
from toxic_inference.http.door import CSV_TYPE, JSON_TYPE
from toxic_inference.http.encodings.forms import (
    MULTIPART_TYPE,
    TABLE_PARAMETERS,
    URLENCODED_TYPE,
    read_form,
    table_options,
)
from toxic_inference.http.encodings.negotiation import quality
from toxic_inference.http.errors import InvalidRequestError
from toxic_inference.http.guard import caller_in
from toxic_inference.http.terms import terms_of
from toxic_inference.http.texts import check_texts, identified, read_language
from toxic_inference.serving.interfaces import Session, Target, Text
from toxic_inference.tables.reader import CsvRow, CsvTable
from toxic_inference.tables.scoring import first_scored, score_rows
from toxic_inference.tables.writer import CsvForm, ScoredRow

FORM_TYPES = (MULTIPART_TYPE, URLENCODED_TYPE)

_FORM_VALUES = ("message", "lang", "language", *TABLE_PARAMETERS)
_TEXT_SLACK = 4
"""Longest value of a form, in longest texts: a text that is a little too long has its own error."""
_MAX_ERRORS = 10_000
_SPOOL_BYTES = 1024 * 1024
_MESSAGE_COLUMN = "content"


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows to score, and the names of their columns."""

    header: tuple[str, ...]
    rows: Iterator[CsvRow]


async def answer_form(request: Request, backend: Backend) -> Response:
    """Score a form's `message`, its `file`, or both."""
    async with AsyncExitStack() as held:
        form = await held.enter_async_context(
            read_form(
                request,
                values=_FORM_VALUES,
                max_value_bytes=max(_TEXT_SLACK * backend.limits.text_bytes, _SPOOL_BYTES // 16),
            )
        )
        language = read_language(form.values.get("lang") or form.values.get("language"), field="lang")
        file, message = form.files.get("file"), form.values.get("message")
        if file is not None and not file.filename and not file.size:
            file = None  # a browser sends an empty file without a name if none was chosen
        if file is None and message is None:
            raise InvalidRequestError(
                f"The form has neither message nor file. For JSON, set Content-Type to {JSON_TYPE}.",
                field="message",
            )
        header: tuple[str, ...] = (_MESSAGE_COLUMN,)
        rows: Iterator[CsvRow] = iter(())
        text_column = 0
        if file is not None:
            options = table_options(request, form.values, content_type=file.content_type or "")
            table = await _open_table(file.file, backend, language=language, options=options)
            header, text_column, rows = table.header, table.text_column, table.rows()
        if message or file is None:
            content = message or ""
            check_texts({"message": content}, backend.limits)
            cells = tuple(content if i == text_column else "" for i in range(len(header)))
            (text,) = await identified([Text(content, language)], request, backend)
            row = CsvRow(line=None, cells=cells, text=text, problem=None)
            rows = chain((row,), rows)
        return await _answer_rows(request, backend, _Rows(header, rows), held)


async def answer_csv(request: Request, backend: Backend) -> Response:
    """Score a table that is the whole body."""
    async with AsyncExitStack() as held:
        spool = SpooledTemporaryFile(max_size=_SPOOL_BYTES)  # noqa: SIM115  `held` closes it
        held.callback(spool.close)
        async for part in request.stream():
            await backend.threads.files.run(spool.write, part, caller=caller_in(request.scope))
        spool.seek(0)
        options = table_options(request, {}, content_type=request.headers.get("content-type", ""))
        table = await _open_table(cast("BinaryIO", spool), backend, language=None, options=options)
        return await _answer_rows(request, backend, _Rows(table.header, table.rows()), held)


async def _open_table(
    stream: BinaryIO, backend: Backend, *, language: str | None, options: TableOptions
) -> CsvTable:
    return await backend.threads.files.run(
        partial(
            CsvTable,
            stream,
            max_text_bytes=backend.limits.text_bytes,
            max_bytes=backend.limits.upload_bytes,
            language_of=lambda text: language or backend.identify_language(text).language,
            options=options,
        )
    )


async def _answer_rows(request: Request, backend: Backend, rows: _Rows, held: AsyncExitStack) -> Response:
    session = held.enter_context(backend.scorer.session(Target(), terms_of(request)))
    chunks = score_rows(rows.rows, session, backend.threads.files, caller=caller_in(request.scope))
    held.push_async_callback(chunks.aclose)
    first = await unless_departed(request, first_scored(chunks))

    async def counted() -> AsyncIterator[list[ScoredRow]]:
        _count_rejected(first, backend)
        yield first
        async for chunk in chunks:
            _count_rejected(chunk, backend)
            yield chunk

    headers = {MODEL_VERSION_HEADER: session.version}
    accept = request.headers.get("accept", "")
    as_csv = quality(accept, CSV_TYPE) or 0.0
    if as_csv and as_csv >= (quality(accept, JSON_TYPE, "application/*", "*/*") or 0.0):
        headers["content-disposition"] = 'attachment; filename="scores.csv"'
        body, kind = (
            _csv_body(counted(), rows.header, session, backend),
            f"{CSV_TYPE}; charset=utf-8",
        )
    else:
        body, kind = _json_body(counted(), session, backend), JSON_TYPE
    return HoldingResponse(body, held=held.pop_all(), media_type=kind, headers=headers)


def _count_rejected(rows: list[ScoredRow], backend: Backend) -> None:
    for scored in rows:
        if scored.row.problem is not None:
            backend.emit(RowRejected(scored.row.problem.code))


async def _csv_body(
    chunks: AsyncIterator[list[ScoredRow]], header: tuple[str, ...], session: Session, backend: Backend
) -> AsyncIterator[bytes]:
    form = CsvForm(header, session.contract.labels, session.version, backend.policy)
    yield form.header().encode()
    async for chunk in chunks:
        yield (await backend.threads.files.run(form.rows, chunk)).encode()


async def _json_body(
    chunks: AsyncIterator[list[ScoredRow]], session: Session, backend: Backend
) -> AsyncIterator[bytes]:
    model = orjson.dumps({"model_name": backend.model_name, "model_version": session.version})
    yield model.removesuffix(b"}") + b',"results":['
    problems: list[RowProblem] = []
    scored = rejected = 0
    async for chunk in chunks:
        results = [
            score_json(row.score, row.row.text.language, session.contract, line=row.row.line)
            for row in chunk
            if row.score is not None and row.row.text is not None
        ]
        bad = [row.row.problem for row in chunk if row.row.problem is not None]
        problems += bad[: _MAX_ERRORS - len(problems)]
        if results:
            yield (b"," if scored else b"") + orjson.dumps(results)[1:-1]
        scored += len(results)
        rejected += len(bad)
    policy = {"policy": backend.policy} if backend.policy else {}
    tail = orjson.dumps({"errors": problems, "scored": scored, "rejected": rejected, **policy})
    yield b"]," + tail.removeprefix(b"{")
