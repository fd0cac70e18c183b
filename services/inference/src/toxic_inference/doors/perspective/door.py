"""The Perspective API (https://developers.perspectiveapi.com), `v1alpha1`, for the one model.

`comments:analyze`, `comments:suggestscore` and the discovery document. A client only changes its address.

Invariant: answers and errors are exactly the published ones; a header names the model version.
"""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from http import HTTPStatus
from importlib.resources import files

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from toxic_inference.corrections.record import FeedbackSource, UnknownFeedbackError
from toxic_inference.doors.perspective.attributes import bare
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
    GOOGLE,
    ErrorType,
    refusal,
    unsupported,
)
from toxic_inference.doors.perspective.reading import read_request
from toxic_inference.doors.perspective.requests import Attribute, analysis_of, suggestion_of
from toxic_inference.doors.perspective.sentences import Sentence, sentences_of, utf16_length
from toxic_inference.events import AttributeUnsupported
from toxic_inference.http.backend import MODEL_VERSION_HEADER, UNSUPPORTED_ATTRIBUTES_HEADER, Backend
from toxic_inference.http.body import unless_departed
from toxic_inference.http.door import JSON_TYPE, Access, Door, Operation, json_response
from toxic_inference.http.guard import caller_of
from toxic_inference.http.terms import terms_of
from toxic_inference.serving.interfaces import Lane, Target, Text, TextScore

VERSION = "v1alpha1"


async def analyze(request: Request, backend: Backend) -> Response:
    """Score a comment by attribute; with spanAnnotations, each sentence too."""
    message = await read_request(request, AnalyzeCommentRequest)
    terms = terms_of(request, store=not message.do_not_store)
    with backend.scorer.session(Target(), terms) as session:
        contract = session.contract
        analysis = analysis_of(message, labels=contract.labels, max_bytes=backend.limits.text_bytes)
        languages = analysis.languages
        if not languages:
            identified = await asyncio.to_thread(backend.identify_language, analysis.text)
            if identified is None:
                raise refusal("Unable to detect language", ErrorType.LANGUAGE_DETECTION_FAILED)
            languages = (identified,)
        detected = not analysis.languages
        drop = message.drop_unsupported_attributes
        headers = {MODEL_VERSION_HEADER: session.version} | _dropping(
            analysis.unsupported,
            backend,
            refuse=not analysis.attributes
            or not (backend.perspective.drop_attributes if drop is None else drop),
            error=lambda name: unsupported(name, languages, detected=detected),
        )
        if unknown := [language for language in languages if language not in contract.languages]:
            raise unsupported(analysis.attributes[0].name, unknown, detected=detected)
        sentences = sentences_of(analysis.text) if message.span_annotations else []
        # One text has one calibration; with several languages it is the one for any language.
        language = languages[0] if len(languages) == 1 else None
        # The whole text, then its sentences if there are several.
        parts = [analysis.text, *(sentence.text for sentence in sentences if len(sentences) > 1)]
        texts = [Text(part, language) for part in parts]
        whole, *scores = await unless_departed(request, session.score(texts, lane=Lane.INTERACTIVE))
        if scores:
            spans = list(zip(sentences, scores, strict=True))
        else:
            spans = [(Sentence(analysis.text, 0, utf16_length(analysis.text)), whole)]
        by_attribute = {a.name: _scores_of(a, whole, spans, contract.labels) for a in analysis.attributes}
        answer = AnalyzeCommentResponse(
            attribute_scores={name: found for name, found in by_attribute.items() if found is not None},
            languages=list(languages),
            detected_languages=None if analysis.languages else list(languages),
            client_token=message.client_token,
        )
        return json_response(answer, headers=headers)


def _dropping(
    names: Sequence[str], backend: Backend, *, refuse: bool, error: Callable[[str], Exception]
) -> dict[str, str]:
    """Count the attributes that no label answers; return the header that names them, or raise `error`."""
    for name in names:
        backend.emit(AttributeUnsupported(bare(name)))
    if names and refuse:
        raise error(names[0])
    return {UNSUPPORTED_ATTRIBUTES_HEADER: ", ".join(names)} if names else {}


def _scores_of(
    attribute: Attribute,
    whole: TextScore,
    spans: Sequence[tuple[Sentence, TextScore]],
    labels: Sequence[str],
) -> AttributeScores | None:
    """Return an attribute's scores that reach its threshold, or None."""
    column = labels.index(attribute.label)

    def reaching(score: TextScore) -> Score | None:
        value = score.scores[column]
        return Score(value=value, type=ScoreType.PROBABILITY) if value >= attribute.threshold else None

    summary = reaching(whole)
    above = [
        SpanScore(begin=sentence.begin, end=sentence.end, score=found)
        for sentence, score in spans
        if (found := reaching(score)) is not None
    ]
    if summary is None and not above:
        return None
    return AttributeScores(span_scores=above or None, summary_score=summary)


async def suggestscore(request: Request, backend: Backend) -> Response:
    """Suggest scores: file a correction with its text. To file one without its text, use `/feedback`."""
    message = await read_request(request, SuggestCommentScoreRequest)
    keep = not message.do_not_store
    suggestion = suggestion_of(
        message, labels=backend.correctable_labels(), max_bytes=backend.limits.text_bytes
    )
    detected = (
        None if suggestion.languages else await asyncio.to_thread(backend.identify_language, suggestion.text)
    )
    headers = _dropping(
        suggestion.unsupported,
        backend,
        refuse=not suggestion.labels or not backend.perspective.drop_attributes,
        error=lambda name: unsupported(
            name, suggestion.languages or ([detected] if detected else []), detected=not suggestion.languages
        ),
    )
    # A later suggestion for the same comment replaces the earlier one, so a digest of what they share is the
    # id. But the digest of a text that must not be stored would confirm a guess of the text.
    shared = [caller_of(request), message.community_id, message.client_token, suggestion.text]
    identity = sha256(orjson.dumps(shared)).hexdigest()
    correction = backend.corrections.make(
        identity if keep else uuid.uuid4().hex,
        text=suggestion.text if keep else None,
        language=suggestion.languages[0] if suggestion.languages else detected,
        labels=suggestion.labels,
        source=FeedbackSource.PERSPECTIVE,
        actor=message.community_id,
    )
    if keep:
        await backend.corrections.replace(correction)
    else:
        await backend.corrections.file(correction)
        with suppress(UnknownFeedbackError):
            await backend.corrections.delete(identity)
    return json_response(
        SuggestCommentScoreResponse(
            requested_languages=list(suggestion.languages) or None,
            detected_languages=[detected] if detected else None,
            client_token=message.client_token,
        ),
        headers=headers,
    )


async def discovery(request: Request, _: Backend) -> Response:
    """The discovery document, which Google's client libraries generate their methods from."""
    document = orjson.loads(files(__package__).joinpath("discovery.json").read_bytes())
    if request.query_params.get("version", VERSION) != VERSION:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    # Every address is the request's own, so that a client stays at this service.
    root = str(request.base_url)
    document |= {"rootUrl": root, "mtlsRootUrl": root, "baseUrl": root, "documentationLink": f"{root}docs"}
    return Response(orjson.dumps(document), media_type=JSON_TYPE)


PERSPECTIVE = Door(
    name="perspective",
    title="Perspective API",
    clients="clients of Google's Perspective API",
    prefixes=("/v1alpha1/", "/$discovery/"),
    errors=GOOGLE,
    operations=(
        Operation(
            "POST",
            "/v1alpha1/comments:analyze",
            analyze,
            scores=True,
            body=AnalyzeCommentRequest,
            answers={200: AnalyzeCommentResponse},
        ),
        Operation(
            "POST",
            "/v1alpha1/comments:suggestscore",
            suggestscore,
            body=SuggestCommentScoreRequest,
            answers={200: SuggestCommentScoreResponse},
        ),
        Operation(
            "GET",
            "/$discovery/rest",
            discovery,
            access=Access.OPEN,
            query={"version": f"Version of the API: {VERSION}."},
            answers={200: {JSON_TYPE: {"name": "commentanalyzer", "version": VERSION, "methods": {}}}},
        ),
    ),
)
