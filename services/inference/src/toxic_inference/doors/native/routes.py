"""`POST /predict`: the native door, for JSON, forms, CSV files and streams of lines.

Invariant: one version answers a whole request, and its name is in the answer's body and header.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from toxic_inference.doors.native.ndjson import NDJSON_TYPE, NdjsonLine, answer_ndjson
from toxic_inference.doors.native.uploads import CSV_TYPE, FORM_TYPES, answer_csv, answer_form
from toxic_inference.http.backend import MODEL_VERSION_HEADER, Doors
from toxic_inference.http.body import JSON_TYPE, check_media_type, read_json, unless_departed, validate
from toxic_inference.http.errors import InvalidRequestError, TooManyTextsError
from toxic_inference.http.schemas import (
    ErrorAnswer,
    PredictAnswer,
    PredictForm,
    PredictRequest,
    primary_language,
)
from toxic_inference.http.terms import terms_of
from toxic_inference.serving.interfaces import Lane, Session, Target, Text
from toxic_inference.serving.scoring.texts import check_text
from toxic_inference.tables.writer import score_json, spans_json

_ACCEPTED = (JSON_TYPE, *FORM_TYPES, CSV_TYPE, NDJSON_TYPE)

_REQUEST_BODY: dict[str, object] = {
    "requestBody": {
        "required": True,
        "content": {
            JSON_TYPE: {"schema": {"$ref": "#/components/schemas/PredictRequest"}},
            **{form: {"schema": {"$ref": "#/components/schemas/PredictForm"}} for form in FORM_TYPES},
            CSV_TYPE: {"schema": {"type": "string"}, "example": "content,lang\nHave a lovely day.,en\n"},
            NDJSON_TYPE: {"schema": {"$ref": "#/components/schemas/NdjsonLine"}},
        },
    }
}
REQUEST_MODELS = (PredictRequest, PredictForm, NdjsonLine)
"""Models that only `_REQUEST_BODY` refers to; the application adds them to its OpenAPI document."""

_ERROR_ANSWERS: Mapping[int, str] = {
    400: "The body isn't what its content type says.",
    413: "The body or a text is too large, or there are too many texts.",
    415: "The content type isn't read here.",
    422: "A text, a field or the file can't be scored.",
    429: "The queue is full; Retry-After says when to ask again.",
    503: "No model version is available yet.",
    504: "The timeout passed.",
}


def predict_router(doors: Doors) -> APIRouter:
    """Return the native scoring route."""
    router = APIRouter(tags=["scoring"])

    @router.post(
        "/predict",
        summary="Score texts",
        response_model=PredictAnswer,
        responses={
            200: {"content": {CSV_TYPE: {"schema": {"type": "string"}}}},
            **{
                status: {"model": ErrorAnswer, "description": text} for status, text in _ERROR_ANSWERS.items()
            },
        },
        openapi_extra=_REQUEST_BODY,
    )
    async def predict(request: Request) -> Response:
        """Score texts: one, many, a CSV file with a column `content` or `comment_text`, or a stream of lines.

        With `Accept: text/csv`, a file's rows come back as CSV, with the scores beside them.
        """
        found = check_media_type(request, _ACCEPTED)
        if found == JSON_TYPE:
            return await _answer_json(request, doors)
        if found == CSV_TYPE:
            return await answer_csv(request, doors)
        if found == NDJSON_TYPE:
            return await answer_ndjson(request, doors)
        return await answer_form(request, doors)

    return router


async def _answer_json(request: Request, doors: Doors) -> Response:
    body = validate(PredictRequest, await read_json(request))
    texts = _texts(body, doors)
    if body.identify_language:
        texts = await asyncio.to_thread(_identified, texts, doors)
    terms = terms_of(request, timeout_seconds=body.timeout, store=not body.do_not_store)
    with doors.scorer.session(Target(), terms) as session:
        score = _explained if body.spans else _scored
        results = await unless_departed(request, score(texts, session))
        version = session.version
    if body.identify_language:
        results = [{**result, "language": t.language} for result, t in zip(results, texts, strict=True)]
    answer = {
        "model_name": doors.model_name,
        "model_version": version,
        "results": results,
        "errors": [],
        "scored": len(results),
        "rejected": 0,
    }
    headers = {MODEL_VERSION_HEADER: version}
    return Response(orjson.dumps(answer), media_type=JSON_TYPE, headers=headers)


async def _scored(texts: Sequence[Text], session: Session) -> list[dict[str, object]]:
    return [score_json(score) for score in await session.score(texts, lane=Lane.INTERACTIVE)]


async def _explained(texts: Sequence[Text], session: Session) -> list[dict[str, object]]:
    (text,) = texts
    explanation = await session.explain(text, lane=Lane.INTERACTIVE)
    return [{**score_json(explanation.score), "spans": spans_json(explanation.spans)}]


def _texts(body: PredictRequest, doors: Doors) -> list[Text]:
    if (body.text is None) == (body.texts is None):
        raise InvalidRequestError("Send either texts, a list, or text, a single one.", field="texts")
    if body.lang is not None and body.language is not None and body.lang != body.language:
        raise InvalidRequestError("lang and language differ; send one of them.", field="lang")
    named = {"text": body.text or ""} if body.texts is None else _named(body.texts, doors.limits.texts)
    if body.spans and len(named) > 1:
        raise InvalidRequestError(
            "spans costs many passes a text; ask for one text at a time.", field="spans"
        )
    for field, text in named.items():
        check_text(text, field=field, max_bytes=doors.limits.text_bytes)
    language = primary_language(body.lang or body.language)
    return [Text(text, language) for text in named.values()]


def _identified(texts: Sequence[Text], doors: Doors) -> list[Text]:
    """Return `texts` with their languages; blocks."""
    return [
        text if text.language else replace(text, language=doors.languages.identify(text.content))
        for text in texts
    ]


def _named(texts: list[str], limit: int) -> dict[str, str]:
    if len(texts) > limit:
        raise TooManyTextsError(
            f"{len(texts):,} texts are too many for one request; the limit is {limit:,}. "
            "Send them in parts, or as a CSV file.",
            field="texts",
        )
    return {f"texts[{index}]": text for index, text in enumerate(texts)}
