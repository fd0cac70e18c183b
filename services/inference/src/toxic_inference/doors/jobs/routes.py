"""`/jobs`: upload a CSV of any length, watch it being scored, download the result, in parts too.

Invariant: an upload is answered once it is on disk and looks like a CSV; a result is only served whole, with
an entity tag, so that a download that broke goes on where it was.
"""

import asyncio
from datetime import datetime
from http import HTTPStatus

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from toxic_inference.doors.native.uploads import CSV_TYPE
from toxic_inference.http.backend import MODEL_VERSION_HEADER
from toxic_inference.http.body import JSON_TYPE, check_media_type
from toxic_inference.http.errors import InvalidRequestError
from toxic_inference.http.schemas import ErrorAnswer
from toxic_inference.jobs.files import PartialUpload
from toxic_inference.jobs.queue import JobDesk
from toxic_inference.jobs.record import Job, JobState

_MULTIPART = "multipart/form-data"
_COPY_BYTES = 1024 * 1024


class JobError(BaseModel):
    """Why a job failed."""

    code: str = Field(description="For programs.")
    message: str = Field(description="For people.")


class JobAnswer(BaseModel):
    """Where a job stands."""

    id: str = Field(description="Keep it: who knows it can read and delete the result.")
    state: JobState
    rows_done: int = Field(description="Rows in the result so far.")
    rows_total: int = Field(description="Rows of the file; exact where no quote in it is broken.")
    scored: int = Field(description="Rows with scores.")
    rejected: int = Field(description="Rows with the reason why they have none.")
    model_version: str | None = Field(description="The version that scores it, once it runs.")
    created_at: datetime
    expires_at: datetime = Field(description="When the job and its files are removed.")
    error: JobError | None = None


_BODY: dict[str, object] = {
    "requestBody": {
        "required": True,
        "content": {
            CSV_TYPE: {"schema": {"type": "string"}, "example": "content,lang\nHave a lovely day.,en\n"},
            _MULTIPART: {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "string", "format": "binary"}},
                    "required": ["file"],
                },
                "example": {"file": "content,lang\nHave a lovely day.,en\n"},
            },
        },
    }
}
_UNKNOWN: dict[int | str, dict[str, object]] = {
    404: {"model": ErrorAnswer, "description": "There is no such job, or no longer."}
}


def jobs_router(desk: JobDesk) -> APIRouter:
    """Return the routes of jobs."""
    router = APIRouter(tags=["jobs"])
    _add_submission(router, desk)
    _add_result(router, desk)

    @router.get("/jobs/{job_id}", summary="Progress", response_model=JobAnswer, responses=_UNKNOWN)
    async def status(job_id: str) -> Response:
        """How many rows are done, of how many; ask again as often as you like."""
        return _answer(desk.get(job_id), HTTPStatus.OK)

    @router.delete(
        "/jobs/{job_id}", summary="Delete a job", status_code=HTTPStatus.NO_CONTENT, responses=_UNKNOWN
    )
    async def remove(job_id: str) -> Response:
        """Ends it where it runs, and removes its file and its result."""
        await desk.delete(job_id)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return router


def _add_submission(router: APIRouter, desk: JobDesk) -> None:
    @router.post(
        "/jobs",
        summary="Upload a CSV to score",
        status_code=HTTPStatus.ACCEPTED,
        response_model=JobAnswer,
        responses={
            413: {"model": ErrorAnswer, "description": "The file is too large."},
            415: {"model": ErrorAnswer, "description": "The content type isn't read here."},
            422: {"model": ErrorAnswer, "description": "The file isn't a CSV with a text column."},
            429: {"model": ErrorAnswer, "description": "There is no room for another file."},
        },
        openapi_extra=_BODY,
    )
    async def submit(request: Request) -> Response:
        """Answers at once; the file, with a column `content` or `comment_text`, is scored in its turn."""
        kind = check_media_type(request, (CSV_TYPE, _MULTIPART))
        upload = await desk.open_upload()
        try:
            await (_receive_form if kind == _MULTIPART else _receive_body)(request, upload)
            job = await desk.submit(upload)
        except BaseException:
            await asyncio.to_thread(upload.drop)
            raise
        return _answer(job, HTTPStatus.ACCEPTED, headers={"location": f"/jobs/{job.id}"})


def _add_result(router: APIRouter, desk: JobDesk) -> None:
    @router.get(
        "/jobs/{job_id}/result",
        summary="Download the scores",
        response_class=FileResponse,
        responses={
            200: {"content": {CSV_TYPE: {}}, "description": "The whole result."},
            206: {"content": {CSV_TYPE: {}}, "description": "The part that the header Range asked for."},
            409: {"model": ErrorAnswer, "description": "The job isn't done, or failed."},
            416: {"description": "The result has no such part."},
            **_UNKNOWN,
        },
    )
    async def result(job_id: str) -> Response:
        """Every row of the file, in order, with its scores beside it; takes `Range` and `If-Range`."""
        job, path = desk.get(job_id), desk.result(job_id)
        return FileResponse(
            path,
            media_type=CSV_TYPE,
            filename="scores.csv",
            headers={MODEL_VERSION_HEADER: job.model_version or ""},
        )


async def _receive_body(request: Request, upload: PartialUpload) -> None:
    async for part in request.stream():
        await asyncio.to_thread(upload.write, part)


async def _receive_form(request: Request, upload: PartialUpload) -> None:
    async with request.form(max_files=1, max_fields=1) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise InvalidRequestError("The form must have a file named file.", field="file")
        while part := await file.read(_COPY_BYTES):
            await asyncio.to_thread(upload.write, part)


def _answer(job: Job, status: HTTPStatus, *, headers: dict[str, str] | None = None) -> Response:
    answer = JobAnswer(
        id=job.id,
        state=job.state,
        rows_done=job.rows_done,
        rows_total=job.rows_total,
        scored=job.scored,
        rejected=job.rejected,
        model_version=job.model_version,
        created_at=job.created_at,
        expires_at=job.expires_at,
        error=JobError(code=job.error[0], message=job.error[1]) if job.error else None,
    )
    return Response(answer.model_dump_json(), status_code=status, media_type=JSON_TYPE, headers=headers)
