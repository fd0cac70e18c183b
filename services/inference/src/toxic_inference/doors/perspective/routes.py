"""The Perspective API (https://developers.perspectiveapi.com), `v1alpha1`, for the one model.

Owns `comments:analyze`, `comments:suggestscore` and the discovery document. A client changes its address and
nothing else.

Invariant: answers and errors are to the letter the published ones; the model's version stands in a header.
"""

import asyncio
import uuid
from collections.abc import Sequence
from hashlib import sha256
from http import HTTPStatus

import orjson
from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from toxic_core.labels import LABELS
from toxic_inference.corrections.record import Feedback, FeedbackSource
from toxic_inference.doors.perspective.discovery import VERSION, discovery_document
from toxic_inference.doors.perspective.messages import (
    AnalyzeCommentRequest,
    AnalyzeCommentResponse,
    AttributeScores,
    Score,
    ScoreType,
    SpanScore,
    SuggestCommentScoreRequest,
    SuggestCommentScoreResponse,
)
from toxic_inference.doors.perspective.problems import (
    ErrorType,
    read_message,
    refusal,
    unsupported_language,
)
from toxic_inference.doors.perspective.requests import (
    Analysis,
    Attribute,
    Suggestion,
    analysis_of,
    suggestion_of,
)
from toxic_inference.doors.perspective.sentences import Sentence, sentences_of, utf16_length
from toxic_inference.http.backend import MODEL_VERSION_HEADER, Doors
from toxic_inference.http.body import JSON_TYPE, check_media_type, read_json, unless_departed
from toxic_inference.http.schemas import openapi_body
from toxic_inference.http.terms import terms_of
from toxic_inference.serving.interfaces import Lane, Session, Target, Text, TextScore

REQUEST_MODELS = (AnalyzeCommentRequest, SuggestCommentScoreRequest)

_ANALYZE_EXAMPLE = {
    "comment": {"text": "You are an idiot. Have a lovely day."},
    "requestedAttributes": {"TOXICITY": {}, "INSULT": {"scoreThreshold": 0.5}},
    "languages": ["en"],
    "spanAnnotations": True,
    "doNotStore": True,
}
_SUGGEST_EXAMPLE = {
    "comment": {"text": "Get busy living, or get busy dying."},
    "attributeScores": {"TOXICITY": {"summaryScore": {"value": 0}}},
    "languages": ["en"],
    "clientToken": "comment-53922",
}


def perspective_router(doors: Doors) -> APIRouter:
    """Return the routes of the Perspective API."""
    router = APIRouter(tags=["Perspective API"])

    @router.post(
        "/v1alpha1/comments:analyze",
        summary="Score a comment",
        response_model=AnalyzeCommentResponse,
        openapi_extra=openapi_body(AnalyzeCommentRequest, _ANALYZE_EXAMPLE),
    )
    async def analyze(request: Request) -> Response:
        """Scores by attribute, for the whole comment and, with spanAnnotations, for each sentence."""
        return await _analyze(request, doors)

    @router.post(
        "/v1alpha1/comments:suggestscore",
        summary="Suggest scores",
        response_model=SuggestCommentScoreResponse,
        openapi_extra=openapi_body(SuggestCommentScoreRequest, _SUGGEST_EXAMPLE),
    )
    async def suggestscore(request: Request) -> Response:
        """Files a correction, with its text: who mustn't have a text kept uses `/feedback`."""
        return await _suggest(request, doors)

    @router.get("/$discovery/rest", summary="Discovery document")
    async def discovery(request: Request, version: str = VERSION) -> Response:
        """What Google's client libraries make their methods from."""
        if version != VERSION:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return _json(discovery_document(str(request.base_url)))

    return router


def _json(answer: object, *, version: str | None = None) -> Response:
    headers = {MODEL_VERSION_HEADER: version} if version is not None else None
    return Response(orjson.dumps(answer), media_type=JSON_TYPE, headers=headers)


async def _analyze(request: Request, doors: Doors) -> Response:
    check_media_type(request, (JSON_TYPE,))
    message = read_message(AnalyzeCommentRequest, await read_json(request))
    analysis = analysis_of(message, max_bytes=doors.limits.text_bytes)
    languages = analysis.languages or (await _identify(doors, analysis.text),)
    sentences = sentences_of(analysis.text) if analysis.spans else []
    with doors.scorer.session(Target(), terms_of(request, store=analysis.store)) as session:
        _check_languages(analysis, languages, session)
        # One text has one calibration; that of several languages together is the one for any.
        language = languages[0] if len(languages) == 1 else None
        texts = [Text(part, language) for part in _parts(analysis.text, sentences)]
        scores = await unless_departed(request, session.score(texts, lane=Lane.INTERACTIVE))
        answer = AnalyzeCommentResponse(
            attribute_scores=_attribute_scores(analysis, sentences, scores),
            languages=list(languages),
            detected_languages=None if analysis.languages else list(languages),
            client_token=analysis.client_token,
        )
        return _json(answer.model_dump(by_alias=True, exclude_none=True), version=session.version)


async def _identify(doors: Doors, text: str) -> str:
    language = await asyncio.to_thread(doors.languages.identify, text)
    if language is None:
        raise refusal("Unable to detect language", ErrorType.LANGUAGE_DETECTION_FAILED)
    return language


def _check_languages(analysis: Analysis, languages: tuple[str, ...], session: Session) -> None:
    unsupported = [language for language in languages if language not in session.contract.languages]
    if unsupported:
        raise unsupported_language(analysis.attributes[0].name, unsupported, detected=not analysis.languages)


def _parts(text: str, sentences: Sequence[Sentence]) -> list[str]:
    """Return what is scored: the whole text, then its sentences where there are several."""
    return [text, *(sentence.text for sentence in sentences if len(sentences) > 1)]


def _attribute_scores(
    analysis: Analysis, sentences: Sequence[Sentence], scores: Sequence[TextScore]
) -> dict[str, AttributeScores]:
    whole, *parts = scores
    spans = [(Sentence(analysis.text, 0, utf16_length(analysis.text)), whole)]
    if parts:
        spans = list(zip(sentences, parts, strict=True))
    by_attribute = {a.name: _scores_of(a, whole, spans) for a in analysis.attributes}
    return {name: scores for name, scores in by_attribute.items() if scores is not None}


def _scores_of(
    attribute: Attribute, whole: TextScore, spans: Sequence[tuple[Sentence, TextScore]]
) -> AttributeScores | None:
    """Return an attribute's scores that reach its threshold; None where none does."""
    summary = _score(attribute, whole)
    above = [
        SpanScore(begin=sentence.begin, end=sentence.end, score=found)
        for sentence, score in spans
        if (found := _score(attribute, score)) is not None
    ]
    if summary is None and not above:
        return None
    return AttributeScores(span_scores=above or None, summary_score=summary)


def _score(attribute: Attribute, score: TextScore) -> Score | None:
    value = score.scores[LABELS.index(attribute.label)]
    return Score(value=value, type=ScoreType.PROBABILITY) if value >= attribute.threshold else None


async def _suggest(request: Request, doors: Doors) -> Response:
    check_media_type(request, (JSON_TYPE,))
    body = await read_json(request)
    # Not in the published message, and honoured all the same: some clients send it with everything.
    keep = not (isinstance(body, dict) and body.pop("doNotStore", body.pop("do_not_store", False)) is True)
    message = read_message(SuggestCommentScoreRequest, body)
    suggestion = suggestion_of(message, max_bytes=doors.limits.text_bytes)
    detected = (
        None if suggestion.languages else await asyncio.to_thread(doors.languages.identify, suggestion.text)
    )
    language = suggestion.languages[0] if suggestion.languages else detected
    await doors.feedback.file(_feedback(suggestion, language, keep=keep, doors=doors))
    answer = SuggestCommentScoreResponse(
        requested_languages=list(suggestion.languages) or None,
        detected_languages=[detected] if detected else None,
        client_token=suggestion.client_token,
    )
    return _json(answer.model_dump(by_alias=True, exclude_none=True))


def _feedback(suggestion: Suggestion, language: str | None, *, keep: bool, doors: Doors) -> Feedback:
    return doors.feedback.make(
        # A client that tries again sends the same suggestion, and there is no id in it. But the digest of a
        # text that mustn't be kept would tell whoever guesses the text.
        feedback_id=_digest(suggestion) if keep else uuid.uuid4().hex,
        text=suggestion.text if keep else None,
        language=language,
        labels=suggestion.labels,
        source=FeedbackSource.PERSPECTIVE,
        actor=suggestion.community,
    )


def _digest(suggestion: Suggestion) -> str:
    said = orjson.dumps(
        [
            suggestion.client_token,
            suggestion.session,
            suggestion.community,
            suggestion.text,
            sorted(suggestion.labels.items()),
        ]
    )
    return sha256(said).hexdigest()
