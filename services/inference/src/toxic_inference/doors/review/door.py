"""The review: `GET /review`, opinions, and Label Studio's JSON.

Invariant: only operators read or judge texts. A reviewer is an API key, or an address without one; never a
name that the caller gives, except for the people behind a Label Studio, who count as its key in training.
"""

import re
from datetime import datetime
from functools import partial
from http import HTTPStatus

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from toxic_core.labels import LabelName
from toxic_inference.corrections.review_store import ReviewItem, ReviewLabelsError, UnknownReviewError
from toxic_inference.doors.review.label_studio import (
    MOST_TASKS,
    AnnotatedTask,
    AnnotatedTasks,
    Tasks,
    task_of,
)
from toxic_inference.events import OpinionOutcome, ReviewReason
from toxic_inference.http.backend import Backend
from toxic_inference.http.body import check_media_type, parse_json, read_body, read_json, validate
from toxic_inference.http.door import Access, Door, Operation, json_response
from toxic_inference.http.error_shapes import NATIVE
from toxic_inference.http.errors import InvalidRequestError
from toxic_inference.http.guard import caller_in

_PAGE_TEXTS = 50
_IMPORT_BYTES = 16 * 1024 * 1024
_MOST_VALUES = 1_000_000
_DIGEST = re.compile(r"[0-9a-f]{64}")
_POSITION = re.compile(r"([0-9]{1,9})-([0-9]{1,18})")


class SeenLabel(BaseModel):
    """What the model makes of one label; empty for a correction without scores."""

    score: float | None = None
    decision: bool | None = None


class ReviewText(BaseModel):
    """A text to judge."""

    digest: str = Field(description="Its SHA-256, which names it.")
    text: str
    language: str | None = None
    reason: ReviewReason
    model_version: str | None = None
    created_at: datetime
    labels: dict[LabelName, SeenLabel] = Field(description="The labels to judge.")
    opinions: int = Field(description="Opinions that it has, none of them yours.")
    disputed: list[LabelName] = Field(description="Labels that the opinions judge differently.")


class ReviewPage(BaseModel):
    """Texts that you haven't judged, the most urgent first."""

    enabled: bool = Field(description="Whether the service keeps texts for the review.")
    texts: list[ReviewText]
    after: str | None = Field(default=None, description="`after` of the next page; absent on the last one.")


class OpinionRequest(BaseModel):
    """A judgement of a text."""

    model_config = ConfigDict(extra="forbid", strict=True)

    labels: dict[LabelName, bool] = Field(
        min_length=1, max_length=100, description="Each of the text's labels, and whether it applies."
    )


class OpinionAnswer(BaseModel):
    """What became of the text."""

    outcome: OpinionOutcome
    disputed: list[LabelName] = Field(description="Labels that the opinions judge differently.")


class LabelAgreement(BaseModel):
    """The agreement of the first two reviewers on one label."""

    texts: int = Field(description="Texts with two opinions.")
    agreed: float = Field(description="Share of them that both judge alike.")
    kappa: float | None = Field(
        default=None, description="Cohen's kappa; absent if both reviewers gave one judgement only."
    )


class AgreementAnswer(BaseModel):
    """The agreement of reviewers on the latest texts."""

    labels: dict[LabelName, LabelAgreement]


class ImportAnswer(BaseModel):
    """What became of the annotations."""

    opinions: int = Field(description="Annotations that were taken as opinions.")
    decided: int = Field(description="Texts that they decided.")
    unknown: int = Field(description="Tasks with a text that isn't in the review, or was decided before.")


async def texts(request: Request, backend: Backend) -> Response:
    """List texts to judge: contradictory corrections, disagreements with the shadow, then uncertain texts.

    Texts that you have judged, and decided ones, are left out.
    """
    after, review = _after(request), backend.review
    found = await review.page(caller_in(request.scope), after=after, limit=_PAGE_TEXTS)
    page = ReviewPage(
        enabled=review.queue.texts > 0,
        texts=[_shown(item) for _, item in found],
        after=_name(found[-1][0]) if len(found) == _PAGE_TEXTS else None,
    )
    return json_response(page)


async def judge(request: Request, backend: Backend) -> Response:
    """Judge a text. Two equal opinions, or the majority of three, decide it and become corrections.

    Your next opinion of the same text replaces the one before.
    """
    check_media_type(request)
    body = validate(OpinionRequest, await read_json(request))
    outcome, disputed = await backend.review.judge(
        _digest(request), body.labels, caller=caller_in(request.scope)
    )
    return json_response(OpinionAnswer(outcome=outcome, disputed=list(disputed)))


async def remove(request: Request, backend: Backend) -> Response:
    """Delete a text everywhere: from the review, and every correction that has it."""
    await backend.review.forget(_digest(request))
    return Response(status_code=HTTPStatus.NO_CONTENT)


async def agreement(_: Request, backend: Backend) -> Response:
    """Report how well reviewers agree, by label: on the latest 1,000 texts with two opinions."""
    found = await backend.review.agreement()
    labels = {
        label: LabelAgreement(texts=each.texts, agreed=each.agreed, kappa=each.kappa)
        for label, each in found.items()
    }
    return json_response(AgreementAnswer(labels=labels))


async def export(request: Request, backend: Backend) -> Response:
    """Export texts as Label Studio's tasks, at most 500, with the model's decisions as predictions.

    `after` is the `place` of the last task before.
    """
    found = await backend.review.page(None, after=_after(request), limit=MOST_TASKS)
    return json_response(Tasks([task_of(_name(place), item) for place, item in found]))


async def annotate(request: Request, backend: Backend) -> Response:
    """Import Label Studio's JSON export, at most 500 tasks: each annotation is an opinion.

    Every person's annotation counts for itself here; in training, all count as the key that imports them.
    """
    check_media_type(request)
    read = partial(parse_json, most_values=_MOST_VALUES)
    tasks = await read_body(request, backend.threads.read, lambda body: _tasks(read(body)))
    caller, opinions, decided, unknown = caller_in(request.scope), 0, 0, 0
    for index, task in enumerate(tasks):
        for annotation in task.annotations:
            if annotation.was_cancelled:
                continue
            labels = annotation.judgement(task.data.labels)
            try:
                outcome, _ = await backend.review.judge(
                    task.data.digest, labels, caller=caller, annotator=annotation.annotator
                )
            except UnknownReviewError:
                unknown += 1
                break
            except ReviewLabelsError as error:
                raise InvalidRequestError(f"tasks[{index}]: {error}", field=f"tasks[{index}]") from error
            opinions += 1
            if outcome is OpinionOutcome.DECIDED:
                decided += 1
                break
    return json_response(ImportAnswer(opinions=opinions, decided=decided, unknown=unknown))


class _Import(BaseModel):
    tasks: list[AnnotatedTask] = Field(max_length=MOST_TASKS)


def _tasks(value: object) -> list[AnnotatedTask]:
    """Return the tasks of an import.

    Raises:
        InvalidRequestError: it has another form.
    """
    if not isinstance(value, list):
        raise InvalidRequestError("The body must be a JSON list of tasks; /docs shows one.", field="body")
    return validate(_Import, {"tasks": value}).tasks


def _digest(request: Request) -> str:
    digest: str = request.path_params["digest"]
    if _DIGEST.fullmatch(digest) is None:
        raise UnknownReviewError("A text is named by its SHA-256, in hexadecimal.")
    return digest


def _after(request: Request) -> tuple[int, int] | None:
    given = request.query_params.get("after")
    if given is None:
        return None
    if (found := _POSITION.fullmatch(given)) is None:
        raise InvalidRequestError("after must be the position of a text, such as 2000417-93.", field="after")
    return int(found[1]), int(found[2])


def _name(position: tuple[int, int]) -> str:
    return "{}-{}".format(*position)


def _shown(item: ReviewItem) -> ReviewText:
    return ReviewText(
        digest=item.digest,
        text=item.text,
        language=item.language,
        reason=item.reason,
        model_version=item.version,
        created_at=item.created_at,
        labels={
            label: SeenLabel(score=score, decision=decision) for label, (score, decision) in item.seen.items()
        },
        opinions=len(item.opinions),
        disputed=item.disputed,
    )


_UNAVAILABLE = {503: "The store can't be reached now."}
_AFTER = {"after": "The position of the last text of the page before."}
_PATH = "/review/{digest}"

REVIEW = Door(
    name="review",
    title="review",
    clients="moderators, the page, Label Studio",
    prefixes=("/review",),
    strict_query=True,
    errors=NATIVE,
    operations=(
        Operation(
            "GET",
            "/review",
            texts,
            access=Access.OPERATOR,
            query=_AFTER,
            answers={200: ReviewPage},
            errors=_UNAVAILABLE | {422: "`after` is no position."},
        ),
        Operation(
            "GET",
            "/review/agreement",
            agreement,
            access=Access.OPERATOR,
            answers={200: AgreementAnswer},
            errors=_UNAVAILABLE,
        ),
        Operation(
            "GET",
            "/review/label-studio",
            export,
            access=Access.OPERATOR,
            query=_AFTER,
            answers={200: Tasks},
            errors=_UNAVAILABLE | {422: "`after` is no position."},
        ),
        Operation(
            "POST",
            "/review/label-studio",
            annotate,
            access=Access.OPERATOR,
            changes_state=True,
            body=AnnotatedTasks,
            body_bytes=_IMPORT_BYTES,
            answers={200: ImportAnswer},
            errors=_UNAVAILABLE
            | {
                400: "The body is not JSON.",
                413: "The body is too large.",
                415: "The content type is not JSON.",
                422: "A field is invalid.",
                429: "There is no room for more corrections.",
            },
        ),
        Operation(
            "POST",
            _PATH,
            judge,
            access=Access.OPERATOR,
            changes_state=True,
            body=OpinionRequest,
            answers={200: OpinionAnswer},
            errors=_UNAVAILABLE
            | {
                400: "The body is not JSON.",
                404: "The text isn't in the review, or was decided meanwhile.",
                415: "The content type is not JSON.",
                422: "A field is invalid.",
                429: "There is no room for more corrections.",
            },
        ),
        Operation(
            "DELETE",
            _PATH,
            remove,
            access=Access.OPERATOR,
            changes_state=True,
            answers={204: None},
            errors=_UNAVAILABLE | {404: "No text has that digest."},
        ),
    ),
)
