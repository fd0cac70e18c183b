"""The Perspective API (https://developers.perspectiveapi.com), `v1alpha1`, for the one model.

`comments:analyze`, `comments:suggestscore` and the discovery document. A client only changes its address.

Invariant: answers and errors are exactly the published ones; a header names the model version.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from http import HTTPStatus
from importlib.resources import files

import numpy as np
import orjson
from numpy.typing import NDArray
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from toxic_core.contract.scales import Scales
from toxic_core.labels import perspective_attribute
from toxic_inference.corrections.record import FeedbackSource, UnknownFeedbackError
from toxic_inference.doors.perspective.answering import AnswerForm
from toxic_inference.doors.perspective.attributes import bare
from toxic_inference.doors.perspective.batch import MAX_BYTES, PATHS, batch
from toxic_inference.doors.perspective.languages import choose_languages, detected
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
    unsupported,
)
from toxic_inference.doors.perspective.reading import read_request
from toxic_inference.doors.perspective.requests import (
    Analysis,
    Attribute,
    analysis_of,
    as_declared,
    suggestion_of,
)
from toxic_inference.doors.perspective.scale import ScaleAnswer, scale
from toxic_inference.doors.perspective.sentences import Sentence, sentences_of, utf16_length
from toxic_inference.events import AttributeUnsupported
from toxic_inference.http.backend import (
    MODEL_VERSION_HEADER,
    UNEVALUATED_LANGUAGES_HEADER,
    UNSUPPORTED_ATTRIBUTES_HEADER,
    Backend,
)
from toxic_inference.http.body import unless_departed
from toxic_inference.http.door import JSON_TYPE, Access, Door, Operation
from toxic_inference.http.guard import caller_in, caller_of
from toxic_inference.http.policies import governor_of, policy_headers
from toxic_inference.http.terms import lane_of, may_store, terms_of
from toxic_inference.http.texts import language_of, marks
from toxic_inference.policies.policy import Policy
from toxic_inference.serving.interfaces import Session, Target, Text, TextScore

VERSION = "v1alpha1"
_MODEL_S_THRESHOLDS = Policy()


async def analyze(request: Request, backend: Backend) -> Response:
    """Score a comment by attribute; with spanAnnotations, each sentence too."""
    form = AnswerForm.of(request, AnalyzeCommentResponse)
    message = await read_request(request, AnalyzeCommentRequest)
    terms = terms_of(request, store=not message.do_not_store)
    with backend.scorer.session(Target(), terms) as session:
        contract, rules = session.contract, backend.perspective
        analysis = analysis_of(message, labels=contract.labels, max_bytes=backend.limits.text_bytes)
        governor = governor_of(request, backend)
        if governor is not None:
            analysis = _following(governor.policy, analysis)
        declared = analysis.languages
        identified = await language_of(analysis.text, request, backend)
        languages = choose_languages(
            declared, identified, text=analysis.text, supported=contract.languages, rules=rules
        )
        headers = {MODEL_VERSION_HEADER: session.version}
        headers |= _dropping(
            analysis.unsupported,
            backend,
            refuse=not (analysis.attributes and analysis.may_drop(rules)),
            error=lambda name: unsupported(name, languages.scored, detected=not declared),
        )
        if languages.refused:
            raise unsupported(analysis.attributes[0].name, languages.refused, detected=not declared)
        if languages.unevaluated:
            headers[UNEVALUATED_LANGUAGES_HEADER] = ", ".join(languages.unevaluated)
        listed = governor.policy.listed(analysis.text, contract) if governor else {}
        scale = _Scale(rules.scales(session), languages.calibration, listed)
        scores, whole = await _score(request, session, analysis, scale=scale)
        if governor is not None:
            # Callers have thresholds of their own, so that the model's count for the figures.
            decided = _MODEL_S_THRESHOLDS.decide(whole, scale.language, listed=listed, contract=contract)
            governor.report(session.version, [Text(analysis.text, scale.language)], [decided])
            headers |= policy_headers(governor.name, [decided])
        answer = AnalyzeCommentResponse(
            attribute_scores=scores or None,
            languages=as_declared(message.languages, languages.scored),
            detected_languages=detected(analysis.text, identified),
            client_token=message.client_token,
        )
        return form.respond(answer, headers=headers | marks((whole,)))


def _following(policy: Policy, analysis: Analysis) -> Analysis:
    """Return an analysis of the text without its markup, in the policy's language if it states none."""
    default = (str(policy.default_language),) if policy.default_language else ()
    text = analysis.text if analysis.spans else policy.strip(analysis.text)
    return replace(analysis, text=text, languages=analysis.languages or default)


@dataclass(frozen=True, slots=True)
class _Scale:
    """What calibrated scores of a text become: on a scale, or what a policy's list decides."""

    scales: Scales | None
    language: str | None
    listed: Mapping[str, bool]

    def apply(self, label: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
        if label in self.listed:
            return np.full(len(values), float(self.listed[label]))
        curve = self.scales and self.scales.curve(perspective_attribute(label), self.language)
        return curve(values) if curve else values


async def _score(
    request: Request, session: Session, analysis: Analysis, *, scale: _Scale
) -> tuple[dict[str, AttributeScores], TextScore]:
    """Return the scores by attribute, without those below their threshold, and the whole text's."""
    sentences = sentences_of(analysis.text) if analysis.spans else []
    # The whole text, then its sentences if there are several.
    texts = [Text(analysis.text, scale.language)]
    if len(sentences) > 1:
        texts += (Text(sentence.text, scale.language, whole=False) for sentence in sentences)
    whole, *scores = await unless_departed(request, session.score(texts, lane=lane_of(request)))
    if scores:
        spans = list(zip(sentences, scores, strict=True))
    else:
        spans = [(Sentence(analysis.text, 0, utf16_length(analysis.text)), whole)]
    found: dict[str, AttributeScores | None] = {}
    for each in analysis.attributes:
        column = session.contract.labels.index(each.label)
        values = np.array([whole.scores[column], *(score.scores[column] for _, score in spans)])
        values = scale.apply(each.label, values)
        found[each.name] = _scores_of(each, values.tolist(), [sentence for sentence, _ in spans])
    return {name: each for name, each in found.items() if each is not None}, whole


def _scores_of(
    attribute: Attribute, values: Sequence[float], sentences: Sequence[Sentence]
) -> AttributeScores | None:
    """Return an attribute's scores that reach its threshold, or None.

    Args:
        attribute: the requested one.
        values: the whole text's score, then those of its sentences.
        sentences: of the text.
    """

    def reaching(value: float) -> Score | None:
        return Score(value=value, type=ScoreType.PROBABILITY) if value >= attribute.threshold else None

    summary = reaching(values[0])
    above = [
        SpanScore(begin=sentence.begin, end=sentence.end, score=found)
        for sentence, value in zip(sentences, values[1:], strict=True)
        if (found := reaching(value)) is not None
    ]
    if summary is None and not above:
        return None
    return AttributeScores(span_scores=above or None, summary_score=summary)


def _dropping(
    names: Sequence[str], backend: Backend, *, refuse: bool, error: Callable[[str], Exception]
) -> dict[str, str]:
    """Count the attributes that no label answers; return the header that names them, or raise `error`."""
    for name in names:
        backend.emit(AttributeUnsupported(bare(name)))
    if names and refuse:
        raise error(names[0])
    return {UNSUPPORTED_ATTRIBUTES_HEADER: ", ".join(dict.fromkeys(map(bare, names)))} if names else {}


async def suggestscore(request: Request, backend: Backend) -> Response:
    """Suggest scores: file a correction with its text. To file one without its text, use `/feedback`."""
    form = AnswerForm.of(request, SuggestCommentScoreResponse)
    message = await read_request(request, SuggestCommentScoreRequest)
    keep = may_store(request) and not message.do_not_store
    suggestion = suggestion_of(
        message, labels=backend.correctable_labels(), max_bytes=backend.limits.text_bytes
    )
    identified = await language_of(suggestion.text, request, backend)
    declared = suggestion.languages
    headers = _dropping(
        suggestion.unsupported,
        backend,
        refuse=not suggestion.labels or not backend.perspective.drop_attributes,
        error=lambda name: unsupported(name, declared or (identified,), detected=not declared),
    )
    # A later suggestion for the same comment replaces the earlier one, so a digest of what they share is the
    # id. But the digest of a text that must not be stored would confirm a guess of the text.
    shared = [caller_of(request), message.community_id, message.client_token, suggestion.text]
    identity = sha256(orjson.dumps(shared)).hexdigest()
    correction = backend.corrections.make(
        identity if keep else uuid.uuid4().hex,
        text=suggestion.text if keep else None,
        language=declared[0] if declared else identified,
        labels=suggestion.labels,
        source=FeedbackSource.PERSPECTIVE,
        actor=message.community_id,
    )
    if keep:
        await backend.corrections.file(correction, replace=True, caller=caller_in(request.scope))
    else:
        with suppress(UnknownFeedbackError):
            await backend.corrections.delete(identity)  # first: there may be no room for the new one
        await backend.corrections.file(correction, caller=caller_in(request.scope))
    answer = SuggestCommentScoreResponse(
        requested_languages=as_declared(message.languages, declared) or None,
        detected_languages=detected(suggestion.text, identified),
        client_token=message.client_token,
    )
    return form.respond(answer, headers=headers)


async def discovery(request: Request, backend: Backend) -> Response:
    """The discovery document, which Google's client libraries generate their methods from."""
    document = orjson.loads(files(__package__).joinpath("discovery.json").read_bytes())
    if request.query_params.get("version", VERSION) != VERSION:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    # Every address is this service's own, so that a client stays here.
    root = f"{(backend.public_url or str(request.base_url)).rstrip('/')}/"
    document |= {"rootUrl": root, "mtlsRootUrl": root, "baseUrl": root, "documentationLink": f"{root}docs"}
    return Response(orjson.dumps(document), media_type=JSON_TYPE)


_PART = "--batch\r\nContent-Type: application/http\r\nContent-ID: <{}1>\r\n\r\n{}\r\n\r\n{}\r\n--batch--\r\n"
_BATCH = _PART.format(
    "", "POST /v1alpha1/comments:analyze?key=KEY HTTP/1.1", '{"comment": {"text": "Hello."}}'
)
_BATCH_ANSWER = _PART.format("response-", "HTTP/1.1 200 OK", '{"languages": ["en"]}')

PERSPECTIVE = Door(
    name="perspective",
    title="Perspective API",
    clients="clients of Google's Perspective API",
    prefixes=("/v1alpha1/", "/$discovery/", "/discovery/", "/batch"),
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
            changes_state=True,
            body=SuggestCommentScoreRequest,
            answers={200: SuggestCommentScoreResponse},
        ),
        *(
            Operation(
                "POST",
                path,
                batch,
                changes_state=True,  # a part may
                # Each part has a key of its own.
                access=Access.OPEN,
                body_bytes=MAX_BYTES,
                body={"multipart/mixed": _BATCH},
                answers={200: {"multipart/mixed": _BATCH_ANSWER}},
                errors={
                    400: "The body is not a batch of 1 to 1,000 requests.",
                    413: f"The body is larger than {MAX_BYTES:,} bytes.",
                },
            )
            for path in PATHS
        ),
        Operation(
            "GET",
            "/$discovery/rest",
            discovery,
            access=Access.OPEN,
            query={"version": f"Version of the API: {VERSION}."},
            answers={200: {JSON_TYPE: {"name": "commentanalyzer", "version": VERSION, "methods": {}}}},
        ),
        Operation("GET", "/v1alpha1/scale", scale, answers={200: ScaleAnswer}),
        # Where clients look that were made before each API served its own document.
        Operation(
            "GET",
            f"/discovery/v1/apis/commentanalyzer/{VERSION}/rest",
            discovery,
            access=Access.OPEN,
            documented=False,
        ),
    ),
)
