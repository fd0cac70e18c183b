"""Corrections: `POST /feedback`, their export and their deletion.

The export is one more raw table for training: a row a correction, with the columns that `data/README.md`
names.

Invariant: a text leaves only through the export, and only where its sender consented to its being kept.
"""

import csv
import io
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from toxic_core.labels import LABELS, Label
from toxic_inference.corrections.record import Feedback, FeedbackSource
from toxic_inference.corrections.service import FeedbackDesk
from toxic_inference.http.backend import Doors
from toxic_inference.http.body import JSON_TYPE, check_media_type, read_json, validate
from toxic_inference.http.errors import InvalidRequestError
from toxic_inference.http.schemas import ErrorAnswer, Language, openapi_body, primary_language
from toxic_inference.serving.scoring.texts import check_text

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:/@-]+$", min_length=1, max_length=128)]
KnownLabelName = Annotated[Label, Field(strict=False)]
Probability = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]

EXPORT_COLUMNS = ("id", "text", "language", *LABELS, "created_at", "model_version", "source")


class FeedbackRequest(BaseModel):
    """What a moderator says of a comment."""

    model_config = ConfigDict(extra="forbid", strict=True)

    labels: dict[KnownLabelName, bool] = Field(
        min_length=1, description="By label; labels left out weren't judged."
    )
    text: str | None = Field(default=None, description="The comment. Kept only with `consent`.")
    consent: bool = Field(
        default=False, description="Whether the text may be kept and trained on; without, only the rest is."
    )
    id: Name | None = Field(
        default=None, description="Your own id of this correction: sending it again changes nothing."
    )
    language: Language | None = Field(default=None, description="Language of the comment.")
    model_version: Name | None = Field(default=None, description="The version that scored it.")
    scores: dict[KnownLabelName, Probability] = Field(
        default_factory=dict, description="The scores that the moderator saw, by label."
    )
    source: FeedbackSource = Field(
        default=FeedbackSource.NATIVE, strict=False, description="The door it comes through."
    )
    actor: Name | None = Field(
        default=None, description="Who judged, in your own terms; no real name needed."
    )


class FeedbackAnswer(BaseModel):
    """What became of a correction."""

    id: str = Field(description="Its id, for deleting it.")
    created: bool = Field(description="False where it had been sent before.")
    text_kept: bool = Field(description="Whether its text was kept.")


class ExportFormat(StrEnum):
    """How corrections are written."""

    CSV = "csv"
    NDJSON = "ndjson"


_EXAMPLE = {
    "text": "Get busy living, or get busy dying.",
    "consent": True,
    "labels": {"toxic": False, "threat": False},
    "language": "en",
    "model_version": "3",
    "scores": {"toxic": 0.71, "threat": 0.64},
    "id": "queue-53922",
    "actor": "moderator-7",
}
_ERRORS: dict[int | str, dict[str, object]] = {
    status: {"model": ErrorAnswer, "description": text}
    for status, text in {
        400: "The body isn't JSON.",
        409: "The id is that of another correction.",
        413: "The text is too long.",
        415: "The content type isn't JSON.",
        422: "A field can't be used.",
        503: "The store can't be reached now.",
    }.items()
}


def feedback_router(doors: Doors) -> APIRouter:
    """Return the routes of corrections."""
    router = APIRouter(tags=["feedback"])

    @router.post(
        "/feedback",
        summary="File a correction",
        status_code=HTTPStatus.CREATED,
        response_model=FeedbackAnswer,
        responses={200: {"model": FeedbackAnswer, "description": "It had been sent before."}, **_ERRORS},
        openapi_extra=openapi_body(FeedbackRequest, _EXAMPLE),
    )
    async def file(request: Request) -> Response:
        """Says which labels a comment really carries. Without consent its text isn't kept."""
        check_media_type(request, (JSON_TYPE,))
        feedback = _feedback(validate(FeedbackRequest, await read_json(request)), doors)
        created = await doors.feedback.file(feedback)
        answer = FeedbackAnswer(id=feedback.id, created=created, text_kept=feedback.text is not None)
        status = HTTPStatus.CREATED if created else HTTPStatus.OK
        return Response(answer.model_dump_json(), status_code=status, media_type=JSON_TYPE)

    @router.get(
        "/feedback",
        summary="Export corrections",
        response_class=Response,
        responses={200: {"content": {"text/csv": {}, "application/x-ndjson": {}}}, 503: _ERRORS[503]},
    )
    async def export(format: ExportFormat = ExportFormat.CSV) -> Response:  # noqa: A002  the parameter's name
        """Every correction, oldest first, as a raw table for training: texts are written as they came."""
        return await _export(doors.feedback, format)

    @router.delete(
        "/feedback/{feedback_id}",
        summary="Delete a correction",
        status_code=HTTPStatus.NO_CONTENT,
        responses={
            404: {"model": ErrorAnswer, "description": "There is none of that id."},
            503: _ERRORS[503],
        },
    )
    async def remove(feedback_id: str) -> Response:
        """Removes a correction and its text for good."""
        await doors.feedback.delete(feedback_id)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return router


def _feedback(body: FeedbackRequest, doors: Doors) -> Feedback:
    if body.text is not None:
        check_text(body.text, field="text", max_bytes=doors.limits.text_bytes)
    elif body.consent:
        raise InvalidRequestError("consent is given, but there is no text to keep.", field="text")
    return doors.feedback.make(
        body.id or uuid.uuid4().hex,
        text=body.text if body.consent else None,
        language=primary_language(body.language),
        labels={str(label): value for label, value in body.labels.items()},
        scores={str(label): value for label, value in body.scores.items()},
        model_version=body.model_version,
        source=body.source,
        actor=body.actor,
    )


async def _export(desk: FeedbackDesk, form: ExportFormat) -> Response:
    pages = desk.pages()
    # The first page is read before the answer starts, so that a store that is gone is a status.
    first: list[Feedback] = await anext(pages, [])
    write, media_type = _WRITERS[form]
    header = _csv_lines([EXPORT_COLUMNS]) if form is ExportFormat.CSV else b""
    return StreamingResponse(
        _body(header, first, pages, write),
        media_type=media_type,
        headers={"content-disposition": f'attachment; filename="feedback.{form}"'},
    )


async def _body(
    header: bytes,
    first: list[Feedback],
    rest: AsyncIterator[list[Feedback]],
    write: Callable[[Iterable[Feedback]], bytes],
) -> AsyncIterator[bytes]:
    yield header + write(first)
    async for page in rest:
        yield write(page)


def _row(feedback: Feedback) -> dict[str, str | int | None]:
    labels = {label: feedback.labels.get(label) for label in LABELS}
    return {
        "id": feedback.id,
        "text": feedback.text,
        "language": feedback.language,
        **{label: None if said is None else int(said) for label, said in labels.items()},
        "created_at": feedback.created_at.isoformat(),
        "model_version": feedback.model_version,
        "source": feedback.source.value,
    }


def _csv(page: Iterable[Feedback]) -> bytes:
    return _csv_lines(_row(feedback).values() for feedback in page)


def _ndjson(page: Iterable[Feedback]) -> bytes:
    return b"".join(orjson.dumps(_row(feedback), option=orjson.OPT_APPEND_NEWLINE) for feedback in page)


def _csv_lines(rows: Iterable[Iterable[object]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode()


_WRITERS: dict[ExportFormat, tuple[Callable[[Iterable[Feedback]], bytes], str]] = {
    ExportFormat.CSV: (_csv, "text/csv; charset=utf-8"),
    ExportFormat.NDJSON: (_ndjson, "application/x-ndjson"),
}
