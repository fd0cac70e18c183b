"""`/jobs`: upload a table of any length, watch its progress, download the result, also in parts.

A service that doesn't own the jobs forwards each request to the one that does.

Invariant: an upload is answered once it is on disk and looks like a table; a result is only served when it is
complete, with an entity tag, so that an interrupted download can continue.
"""

import os
import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import asdict
from datetime import datetime
from functools import wraps
from http import HTTPStatus

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from toxic_core.tables import TableOptions
from toxic_inference.http.backend import MODEL_VERSION_HEADER, Backend
from toxic_inference.http.body import HoldingResponse, check_media_type
from toxic_inference.http.door import CSV_TYPE, JSON_TYPE, NDJSON_TYPE, Door, Handler, Operation
from toxic_inference.http.encodings.forms import (
    MULTIPART_TYPE,
    TABLE_PARAMETERS,
    read_form,
    table_options,
)
from toxic_inference.http.error_shapes import NATIVE
from toxic_inference.http.errors import InvalidRequestError
from toxic_inference.http.guard import caller_in, caller_of
from toxic_inference.http.policies import POLICY_HEADER, POLICY_PARAMETER, following, policy_headers
from toxic_inference.jobs.files import PartialUpload, disk_errors
from toxic_inference.jobs.queue import JobQueue
from toxic_inference.jobs.record import Job, JobState
from toxic_inference.tables.writer import SCORED_CSV

_RANGE = re.compile(r"\s*bytes\s*=\s*(\d+-\d*|-\d+)(\s*,\s*(\d+-\d*|-\d+))*\s*", re.ASCII | re.IGNORECASE)
_COPY_BYTES = 1024 * 1024
_MAX_VALUE_BYTES = 64 * 1024


class JobForm(BaseModel):
    """A table to score: CSV, NDJSON, JSON, .xlsx or Parquet, also compressed."""

    file: bytes = Field(description="The file.", json_schema_extra={"format": "binary"})
    text_column: str | None = Field(default=None, description=TABLE_PARAMETERS["text_column"])
    encoding: str | None = Field(default=None, description=TABLE_PARAMETERS["encoding"])
    delimiter: str | None = Field(default=None, description=TABLE_PARAMETERS["delimiter"])


class JobError(BaseModel):
    """Why a job failed."""

    code: str = Field(description="The error, for programs.")
    message: str = Field(description="The error, for people.")


class JobAnswer(BaseModel):
    """A job and its progress."""

    id: str = Field(
        description="Keep it: it gives access to the result, with the key that uploaded the file."
    )
    state: JobState
    rows_done: int = Field(description="Rows in the result so far.")
    rows_total: int = Field(description="Rows of the file; exact unless a quote in it is malformed.")
    scored: int = Field(description="Rows with scores.")
    rejected: int = Field(description="Rows with the reason why they have none.")
    model_version: str | None = Field(description="The version that scores it, once it runs.")
    policy: str | None = Field(default=None, description="The policy that decides, if any.")
    created_at: datetime
    expires_at: datetime | None = Field(
        description="When the job and its files are removed; null until it ended."
    )
    error: JobError | None = None


_Local = Callable[[Request, Backend, JobQueue], Awaitable[Response]]

_FORWARDED_HEADERS = frozenset(
    {
        *("accept", "authorization", "content-type", "if-none-match", "if-range", "range"),
        *("x-api-key", "x-goog-api-key", "x-request-id", "x-toxic-forwarded", POLICY_HEADER),
        *("traceparent", "tracestate"),
    }
)
_RETURNED_HEADERS = frozenset(
    {
        *("accept-ranges", "content-disposition", "content-length", "content-range", "content-type", "etag"),
        *("last-modified", "location", "retry-after", "www-authenticate"),
        *(MODEL_VERSION_HEADER, POLICY_HEADER),
    }
)


def _by_owner(handle: _Local) -> Handler:
    """Return the handler that answers here, if this service owns the jobs, or forwards the owner's answer."""

    @wraps(handle)
    async def answer(request: Request, backend: Backend) -> Response:
        if isinstance(jobs := backend.jobs, JobQueue):
            return await handle(request, backend, jobs)
        query = request.scope["query_string"]
        headers = [(name, value) for name, value in request.headers.items() if name in _FORWARDED_HEADERS]
        async with AsyncExitStack() as held:
            owners = await jobs.ask(
                request.method,
                request.scope["raw_path"] + (b"?" + query if query else b""),
                headers=[*headers, ("x-forwarded-for", request.client.host if request.client else "")],
                body=request.stream() if request.method == "POST" else None,
            )
            held.push_async_callback(owners.aclose)
            returned = {name: value for name, value in owners.headers.items() if name in _RETURNED_HEADERS}
            return HoldingResponse(
                owners.aiter_raw(), held=held.pop_all(), status_code=owners.status_code, headers=returned
            )

    return answer


@_by_owner
async def submit(request: Request, backend: Backend, jobs: JobQueue) -> Response:
    """Upload a table to score.

    The answer comes immediately; the file is scored after the jobs before it.
    """
    kind = check_media_type(request, (CSV_TYPE, NDJSON_TYPE, JSON_TYPE, MULTIPART_TYPE))
    policy = following(request, backend).policy
    with disk_errors():
        upload = await jobs.open_upload(caller_in(request.scope))
        try:
            if kind == MULTIPART_TYPE:
                options = await _receive_form(request, upload, backend)
            else:
                options = table_options(request, {}, content_type=request.headers.get("content-type", ""))
                async for part in request.stream():
                    await backend.threads.files.run(upload.write, part, caller=caller_in(request.scope))
            job = await jobs.submit(upload, options=options, caller=caller_in(request.scope), policy=policy)
        except BaseException:
            await backend.threads.files.run(upload.drop)
            raise
    return _answer(job, HTTPStatus.ACCEPTED, headers={"location": f"/jobs/{job.id}"})


async def _receive_form(request: Request, upload: PartialUpload, backend: Backend) -> TableOptions:
    async with read_form(request, values=TABLE_PARAMETERS, max_value_bytes=_MAX_VALUE_BYTES) as form:
        file = form.files.get("file")
        if file is None:
            raise InvalidRequestError("The form must have a file named file.", field="file")
        options = table_options(request, form.values, content_type=file.content_type or "")
        while part := await file.read(_COPY_BYTES):
            await backend.threads.files.run(upload.write, part, caller=caller_in(request.scope))
    return options


@_by_owner
async def status(request: Request, backend: Backend, jobs: JobQueue) -> Response:  # noqa: ARG001  as each handler
    """Progress: the rows that are done and the total. Poll it as often as you like."""
    return _answer(jobs.get(request.path_params["job_id"], key=caller_of(request)), HTTPStatus.OK)


@_by_owner
async def result(request: Request, backend: Backend, jobs: JobQueue) -> Response:
    """Download the scores: every row of the file, in order. Supports `Range`, `If-Range`, `If-None-Match`."""
    job_id, key = request.path_params["job_id"], caller_of(request)
    job, path = jobs.get(job_id, key=key), jobs.result(job_id, key=key)
    headers = {MODEL_VERSION_HEADER: job.model_version or "", **policy_headers(job.policy)}
    response = FileResponse(
        path,
        media_type=CSV_TYPE,
        filename="scores.csv",
        headers=headers,
        stat_result=await backend.threads.files.run(os.stat, path),
    )
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if not known.isdisjoint({"*", etag := response.headers["etag"]}):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers | {"etag": etag})
    if not _RANGE.fullmatch(request.headers.get("range", "")):
        # RFC 9110, section 14.2: a range in an unknown unit is ignored, and an invalid one may be.
        request.scope["headers"] = [each for each in request.scope["headers"] if each[0] != b"range"]
    return response


@_by_owner
async def remove(request: Request, backend: Backend, jobs: JobQueue) -> Response:  # noqa: ARG001  as each handler
    """Delete a job: stop it if it runs, and remove its file and its result."""
    await jobs.delete(request.path_params["job_id"], key=caller_of(request))
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _answer(job: Job, status: HTTPStatus, *, headers: dict[str, str] | None = None) -> Response:
    error = JobError(code=job.error[0], message=job.error[1]) if job.error else None
    expires_at = job.expires_at if job.ended else None
    answer = JobAnswer.model_validate({**asdict(job), "error": error, "expires_at": expires_at})
    return Response(answer.model_dump_json(), status_code=status, media_type=JSON_TYPE, headers=headers)


_UPLOAD = "content,lang\nHave a lovely day.,en\n"
_AWAY = {503: "The service that owns the jobs doesn't answer now."}
_UNKNOWN = {404: "There is no such job, or no longer."} | _AWAY

JOBS = Door(
    name="jobs",
    title="jobs",
    clients="files of any length",
    prefixes=("/jobs",),
    errors=NATIVE,
    strict_query=True,
    operations=(
        Operation(
            "POST",
            "/jobs",
            submit,
            changes_state=True,
            files=True,
            body={
                CSV_TYPE: _UPLOAD,
                NDJSON_TYPE: '{"text": "Have a lovely day."}\n',
                JSON_TYPE: '[{"text": "Have a lovely day."}]',
                MULTIPART_TYPE: JobForm,
            },
            query=TABLE_PARAMETERS | POLICY_PARAMETER,
            answers={202: JobAnswer},
            errors={
                413: "The file is too large.",
                415: "The content type is not accepted.",
                422: "The file is not a table, or its text column can't be found.",
                429: "There is no room for another file.",
                507: "The service's disk is full.",
            }
            | _AWAY,
        ),
        Operation("GET", "/jobs/{job_id}", status, answers={200: JobAnswer}, errors=_UNKNOWN),
        Operation(
            "GET",
            "/jobs/{job_id}/result",
            result,
            answers={200: {CSV_TYPE: SCORED_CSV}, 206: {CSV_TYPE: SCORED_CSV}, 304: None, 416: None},
            errors=_UNKNOWN | {409: "The job is not done, or failed."},
        ),
        Operation(
            "DELETE", "/jobs/{job_id}", remove, changes_state=True, answers={204: None}, errors=_UNKNOWN
        ),
    ),
)
