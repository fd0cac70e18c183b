"""`/jobs`: upload a CSV of any length, watch its progress, download the result, also in parts.

Invariant: an upload is answered once it is on disk and looks like a CSV; a result is only served when it is
complete, with an entity tag, so that an interrupted download can continue.
"""

import os
import re
from dataclasses import asdict
from datetime import datetime
from http import HTTPStatus

from pydantic import BaseModel, Field
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from toxic_inference.http.backend import MODEL_VERSION_HEADER, Backend
from toxic_inference.http.body import check_media_type
from toxic_inference.http.door import CSV_TYPE, JSON_TYPE, Door, Operation
from toxic_inference.http.error_shapes import NATIVE
from toxic_inference.http.errors import InvalidRequestError
from toxic_inference.http.guard import caller_in
from toxic_inference.jobs.files import PartialUpload
from toxic_inference.jobs.record import Job, JobState
from toxic_inference.tables.writer import SCORED_CSV

_MULTIPART = "multipart/form-data"
_RANGE = re.compile(r"\s*bytes\s*=\s*(\d+-\d*|-\d+)(\s*,\s*(\d+-\d*|-\d+))*\s*", re.ASCII | re.IGNORECASE)
_COPY_BYTES = 1024 * 1024
_MAX_FORM_FIELDS = 2


class JobForm(BaseModel):
    """A CSV file to score."""

    file: bytes = Field(description="The file.", json_schema_extra={"format": "binary"})
    text_column: str | None = Field(default=None, description="Name of the text column.")


class JobError(BaseModel):
    """Why a job failed."""

    code: str = Field(description="The error, for programs.")
    message: str = Field(description="The error, for people.")


class JobAnswer(BaseModel):
    """A job and its progress."""

    id: str = Field(description="Keep it: it gives access to the result.")
    state: JobState
    rows_done: int = Field(description="Rows in the result so far.")
    rows_total: int = Field(description="Rows of the file; exact unless a quote in it is malformed.")
    scored: int = Field(description="Rows with scores.")
    rejected: int = Field(description="Rows with the reason why they have none.")
    model_version: str | None = Field(description="The version that scores it, once it runs.")
    created_at: datetime
    expires_at: datetime = Field(description="When the job and its files are removed.")
    error: JobError | None = None


async def submit(request: Request, backend: Backend) -> Response:
    """Upload a CSV to score.

    The answer comes immediately; the file is scored after the jobs before it.
    """
    kind = check_media_type(request, (CSV_TYPE, _MULTIPART))
    upload = await backend.jobs.open_upload(caller_in(request.scope))
    try:
        if kind == _MULTIPART:
            text_column = await _receive_form(request, upload, backend)
        else:
            text_column = request.query_params.get("text_column")
            async for part in request.stream():
                await backend.threads.files.run(upload.write, part, caller=caller_in(request.scope))
        job = await backend.jobs.submit(
            upload, text_column=text_column or None, caller=caller_in(request.scope)
        )
    except BaseException:
        await backend.threads.files.run(upload.drop)
        raise
    return _answer(job, HTTPStatus.ACCEPTED, headers={"location": f"/jobs/{job.id}"})


async def _receive_form(request: Request, upload: PartialUpload, backend: Backend) -> str | None:
    async with request.form(max_files=1, max_fields=_MAX_FORM_FIELDS) as form:
        file, text_column = form.get("file"), form.get("text_column")
        if not isinstance(file, UploadFile):
            raise InvalidRequestError("The form must have a file named file.", field="file")
        if isinstance(text_column, UploadFile):
            raise InvalidRequestError("text_column must be a value, not a file.", field="text_column")
        while part := await file.read(_COPY_BYTES):
            await backend.threads.files.run(upload.write, part, caller=caller_in(request.scope))
    return text_column


async def status(request: Request, backend: Backend) -> Response:
    """Progress: the rows that are done and the total. Poll it as often as you like."""
    return _answer(backend.jobs.get(request.path_params["job_id"]), HTTPStatus.OK)


async def result(request: Request, backend: Backend) -> Response:
    """Download the scores: every row of the file, in order. Supports `Range`, `If-Range`, `If-None-Match`."""
    job_id = request.path_params["job_id"]
    job, path = backend.jobs.get(job_id), backend.jobs.result(job_id)
    headers = {MODEL_VERSION_HEADER: job.model_version or ""}
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


async def remove(request: Request, backend: Backend) -> Response:
    """Delete a job: stop it if it runs, and remove its file and its result."""
    await backend.jobs.delete(request.path_params["job_id"])
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _answer(job: Job, status: HTTPStatus, *, headers: dict[str, str] | None = None) -> Response:
    error = JobError(code=job.error[0], message=job.error[1]) if job.error else None
    answer = JobAnswer.model_validate({**asdict(job), "error": error})
    return Response(answer.model_dump_json(), status_code=status, media_type=JSON_TYPE, headers=headers)


_UPLOAD = "content,lang\nHave a lovely day.,en\n"
_UNKNOWN = {404: "There is no such job, or no longer."}

JOBS = Door(
    name="jobs",
    title="jobs",
    clients="files of any length",
    prefixes=("/jobs",),
    errors=NATIVE,
    operations=(
        Operation(
            "POST",
            "/jobs",
            submit,
            changes_state=True,
            files=True,
            body={CSV_TYPE: _UPLOAD, _MULTIPART: JobForm},
            query={"text_column": "Name of the text column of a CSV body."},
            answers={202: JobAnswer},
            errors={
                413: "The file is too large.",
                415: "The content type is not accepted.",
                422: "The file is not a CSV, or its text column can't be found.",
                429: "There is no room for another file.",
            },
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
