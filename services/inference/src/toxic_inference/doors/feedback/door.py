"""Corrections: `POST /feedback`, their export and their deletion.

The export is another raw table for training: a row per correction, with the columns in `data/README.md`.

Invariant: a text leaves only through the export, and only if its sender consented to its storage.
"""

import csv
import io
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Annotated

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from toxic_core.labels import LabelName
from toxic_inference.corrections.record import Feedback, FeedbackSource
from toxic_inference.http.backend import Backend
from toxic_inference.http.body import check_media_type, read_json, validate
from toxic_inference.http.door import Access, Door, Operation, json_response
from toxic_inference.http.error_shapes import NATIVE
from toxic_inference.http.errors import InvalidRequestError
from toxic_inference.http.guard import caller_in
from toxic_inference.http.terms import may_store
from toxic_inference.http.texts import Language, check_texts
from toxic_inference.tables.writer import harmless

Name = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9._:/@-]*[A-Za-z0-9_:/@-][A-Za-z0-9._:/@-]*$", max_length=128)
]
"""A name that can be part of a path: not `.` or `..`, which clients resolve even if they are encoded."""
Probability = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class FeedbackRequest(BaseModel):
    """A moderator's judgement of a comment."""

    model_config = ConfigDict(extra="forbid", strict=True)

    labels: dict[LabelName, bool] = Field(
        min_length=1, description="Judgement by label; labels that are missing were not judged."
    )
    text: str | None = Field(default=None, description="The comment. Stored only with `consent`.")
    consent: bool = Field(
        default=False, description="Whether the text may be stored and trained on; if not, only the rest is."
    )
    id: Name | None = Field(
        default=None, description="Your own id of this correction: sending it again changes nothing."
    )
    language: Language | None = Field(default=None, description="Language of the comment.")
    model_version: Name | None = Field(default=None, description="The version that scored it.")
    scores: dict[LabelName, Probability] = Field(
        default_factory=dict, description="The scores that the moderator saw, by label."
    )
    source: FeedbackSource = Field(
        default=FeedbackSource.NATIVE, strict=False, description="The door that it comes through."
    )
    actor: Name | None = Field(
        default=None, description="The moderator, in your own terms; no real name is needed."
    )


class FeedbackAnswer(BaseModel):
    """The acknowledgement of a correction."""

    id: str = Field(description="Its id, for deleting it.")
    created: bool = Field(description="False if it had been sent before.")
    text_kept: bool = Field(description="Whether its text was stored.")


async def file(request: Request, backend: Backend) -> Response:
    """File a correction: which labels apply to a comment.

    Without consent, or with the header `do-not-store: true`, the text is not stored. The status is 200 if the
    correction had been sent before.
    """
    check_media_type(request)
    keep = may_store(request)
    body = validate(FeedbackRequest, await read_json(request))
    if body.text is not None:
        check_texts({"text": body.text}, backend.limits)
    elif body.consent:
        raise InvalidRequestError("consent is given, but there is no text to store.", field="text")
    known = backend.correctable_labels()
    for field, judged in (("labels", body.labels), ("scores", body.scores)):
        if unknown := [label for label in judged if label not in known]:
            raise InvalidRequestError(
                f"{field}.{unknown[0]} isn't a label of a served version; those are {', '.join(known)}.",
                field=f"{field}.{unknown[0]}",
            )
    correction = backend.corrections.make(
        body.id or uuid.uuid4().hex,
        text=body.text if body.consent and keep else None,
        language=body.language,
        labels=body.labels,
        scores=body.scores,
        model_version=body.model_version,
        source=body.source,
        actor=body.actor,
    )
    created = await backend.corrections.file(correction, caller=caller_in(request.scope))
    answer = FeedbackAnswer(id=correction.id, created=created, text_kept=correction.text is not None)
    return json_response(answer, HTTPStatus.CREATED if created else HTTPStatus.OK)


async def export(request: Request, backend: Backend) -> Response:
    """Export corrections, oldest first, or those after the position `after`, each with its own (`place`).

    `csv` and `ndjson` are raw tables for training: texts are unchanged. `spreadsheet` is CSV for people: an
    apostrophe precedes each cell that could start a formula.
    """
    wanted = request.query_params.get("format", "csv")
    if wanted not in _WRITERS:
        raise InvalidRequestError(f"format must be one of {', '.join(_WRITERS)}.", field="format")
    write, media_type = _WRITERS[wanted]
    # Labels of versions that are no longer served come last; one that is judged for the first time during
    # the export is missing.
    labels = tuple(dict.fromkeys((*backend.served_labels(), *await backend.corrections.labels())))
    header = b"" if wanted == "ndjson" else _csv([[*_FACTS_BEFORE, *labels, *_FACTS_AFTER]])
    after = request.query_params.get("after", "0")
    if not (after.isdecimal() and len(after) < _MOST_DIGITS):
        raise InvalidRequestError("after must be the place of a correction.", field="after")
    pages = backend.corrections.pages(after=int(after))
    # The first page is read before the answer starts, so that an unavailable store has its own status.
    first: list[tuple[int, Feedback]] = await anext(pages, [])

    async def body() -> AsyncIterator[bytes]:
        yield header + write(_row(*each, labels) for each in first)
        async for page in pages:
            yield write(_row(*each, labels) for each in page)

    return StreamingResponse(
        body(),
        media_type=media_type,
        headers={"content-disposition": f'attachment; filename="feedback.{_SUFFIXES.get(wanted, wanted)}"'},
    )


async def remove(request: Request, backend: Backend) -> Response:
    """Delete a correction and its text permanently."""
    await backend.corrections.delete(request.path_params["feedback_id"])
    return Response(status_code=HTTPStatus.NO_CONTENT)


Row = dict[str, str | int | None]


_FACTS_BEFORE = ("id", "text", "language")
_FACTS_AFTER = ("created_at", "model_version", "source", "caller", "place")
_MOST_DIGITS = 19
"""Of a position: a signed integer of 64 bits."""


def _row(place: int, correction: Feedback, labels: Sequence[LabelName]) -> Row:
    judged = {label: correction.labels.get(label) for label in labels}
    return {
        "id": correction.id,
        "text": correction.text,
        "language": correction.language,
        **{label: None if applies is None else int(applies) for label, applies in judged.items()},
        "created_at": correction.created_at.isoformat(),
        "model_version": correction.model_version,
        "source": correction.source.value,
        "caller": correction.caller,
        "place": place,
    }


def _csv(rows: Iterable[Iterable[object]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode()


_WRITERS: dict[str, tuple[Callable[[Iterable[Row]], bytes], str]] = {
    "csv": (lambda rows: _csv(row.values() for row in rows), "text/csv; charset=utf-8"),
    "spreadsheet": (
        lambda rows: _csv(
            [harmless(value) if isinstance(value, str) else value for value in row.values()] for row in rows
        ),
        "text/csv; charset=utf-8",
    ),
    "ndjson": (
        lambda rows: b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows),
        "application/x-ndjson",
    ),
}
"""Export formats: rows to bytes, and the media type."""

_SUFFIXES = {"spreadsheet": "csv"}
"""Suffixes of file names, of formats that don't have their own."""

_UNAVAILABLE = {503: "The store can't be reached now."}

FEEDBACK = Door(
    name="feedback",
    title="feedback",
    clients="moderation tools, the page, operators",
    prefixes=("/feedback",),
    strict_query=True,
    errors=NATIVE,
    operations=(
        Operation(
            "POST",
            "/feedback",
            file,
            changes_state=True,
            body=FeedbackRequest,
            answers={200: FeedbackAnswer, 201: FeedbackAnswer},
            errors={
                400: "The body is not JSON.",
                409: "A different correction has the id.",
                413: "The text is too long.",
                415: "The content type is not JSON.",
                422: "A field is invalid.",
                429: "There is no room for more corrections.",
            }
            | _UNAVAILABLE,
        ),
        Operation(
            "GET",
            "/feedback",
            export,
            access=Access.OPERATOR,
            query={
                "format": "csv, the default, spreadsheet, or ndjson.",
                "after": "Only corrections after this place; 0, the default, for all.",
            },
            answers={
                200: {
                    "text/csv": "id,text,language,toxic\nqueue-53922,Get busy living.,en,0\n",
                    "application/x-ndjson": '{"id": "queue-53922", "text": "Get busy living.", "toxic": 0}\n',
                }
            },
            errors=_UNAVAILABLE,
        ),
        Operation(
            "DELETE",
            "/feedback/{feedback_id}",
            remove,
            changes_state=True,
            slashes=True,
            access=Access.OPERATOR,
            answers={204: None},
            errors=_UNAVAILABLE | {404: "There is no correction with that id."},
        ),
    ),
)
