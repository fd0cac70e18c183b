"""`POST /predict`: the native door, for JSON, forms, CSV files and streams of lines.

Invariant: one version answers a whole request, and both the answer's body and a header name it.
"""

from functools import partial

import orjson
from starlette.requests import Request
from starlette.responses import Response

from toxic_inference.doors.native.answers import language_json, score_json, spans_json
from toxic_inference.doors.native.ndjson import answer_ndjson
from toxic_inference.doors.native.preview import PreviewAnswer, PreviewRequest, preview
from toxic_inference.doors.native.schemas import NdjsonLine, PredictAnswer, PredictForm, PredictRequest
from toxic_inference.doors.native.thresholds import ThresholdsAnswer, thresholds, thresholds_of
from toxic_inference.doors.native.uploads import FORM_TYPES, answer_csv, answer_form
from toxic_inference.http.backend import MODEL_VERSION_HEADER, Backend
from toxic_inference.http.body import (
    MOST_VALUES,
    check_media_type,
    parse_json,
    read_body,
    unless_departed,
    validate,
)
from toxic_inference.http.door import CSV_TYPE, JSON_TYPE, NDJSON_TYPE, Access, Door, Operation
from toxic_inference.http.encodings.forms import TABLE_PARAMETERS, charset_of, check_query
from toxic_inference.http.error_shapes import NATIVE as NATIVE_ERRORS
from toxic_inference.http.errors import InvalidRequestError, MalformedRequestError
from toxic_inference.http.policies import POLICY_PARAMETER, following, policy_headers
from toxic_inference.http.terms import terms_of
from toxic_inference.http.texts import check_count, check_texts, identified
from toxic_inference.serving.interfaces import Lane, Target, Text
from toxic_inference.tables.writer import SCORED_CSV


async def answer_json(request: Request, backend: Backend) -> Response:
    """Score a JSON body's texts."""
    charset = charset_of(request.headers.get("content-type", ""))
    read = partial(_read, backend=backend, charset=charset)
    body, texts = await read_body(request, backend.threads.read, read)
    if body.identify_language:
        texts = await identified(texts, request, backend)
    terms = terms_of(request, timeout_seconds=body.timeout, store=not body.do_not_store)
    with backend.scorer.session(Target(), terms) as session:
        contract, version = session.contract, session.version
        if body.spans:
            found = await unless_departed(request, session.explain(texts[0], lane=Lane.INTERACTIVE))
            result = score_json(found.score, texts[0].language, contract)
            results = [result | {"spans": spans_json(found.spans, contract.labels)}]
        else:
            scores = await unless_departed(request, session.score(texts, lane=Lane.INTERACTIVE))
            results = [
                score_json(score, text.language, contract) for score, text in zip(scores, texts, strict=True)
            ]
    if body.identify_language:
        for result, text in zip(results, texts, strict=True):
            result.update(language_json(text))
    if body.thresholds:
        used = thresholds_of(backend, contract)
        for result, text in zip(results, texts, strict=True):
            result["thresholds"] = used(text.language)
    answer = {
        "model_name": backend.model_name,
        "model_version": version,
        "results": results,
        "errors": [],
        "scored": len(results),
        "rejected": 0,
    }
    if backend.policy is not None:
        answer["policy"] = backend.policy
    return Response(orjson.dumps(answer), media_type=JSON_TYPE, headers={MODEL_VERSION_HEADER: version})


def _read(raw: bytes, *, backend: Backend, charset: str | None) -> tuple[PredictRequest, list[Text]]:
    if charset not in {None, "utf-8"}:
        try:
            raw = raw.decode(str(charset)).encode()
        except UnicodeDecodeError as error:
            raise MalformedRequestError(
                f"The body is not {charset}, as its Content-Type declares."
            ) from error
    value = parse_json(raw, most_values=backend.limits.texts + MOST_VALUES)
    if isinstance(value, dict) and isinstance(given := value.get("texts"), list):
        check_count(given, backend.limits, field="texts")
    body = validate(PredictRequest, value)
    return body, _texts(body, backend)


def _texts(body: PredictRequest, backend: Backend) -> list[Text]:
    if (body.text is None) == (body.texts is None):
        raise InvalidRequestError("Send either texts, a list, or text, a single one.", field="texts")
    if body.lang is not None and body.language is not None and body.lang != body.language:
        raise InvalidRequestError("lang and language differ; send one of them.", field="lang")
    if body.texts is None:
        named = {"text": body.text or ""}
    else:
        named = {f"texts[{index}]": text for index, text in enumerate(body.texts)}
    if body.spans and len(named) > 1:
        raise InvalidRequestError(
            "spans takes many passes per text; send a single text with it.", field="spans"
        )
    check_texts(named, backend.limits)
    return [Text(text, body.lang or body.language) for text in named.values()]


_ANSWERS = {
    JSON_TYPE: answer_json,
    **dict.fromkeys(FORM_TYPES, answer_form),
    CSV_TYPE: answer_csv,
    NDJSON_TYPE: answer_ndjson,
}


async def predict(request: Request, backend: Backend) -> Response:
    """Score texts: one, many, a table, or a stream of lines.

    A table is CSV, a JSON list, .xlsx or Parquet, also in a gzip or ZIP file.

    With `Accept: text/csv`, a file's rows are returned as CSV with their scores.
    """
    kind = check_media_type(request, tuple(_ANSWERS))
    check_query(request, POLICY_PARAMETER if kind == JSON_TYPE else TABLE_PARAMETERS | POLICY_PARAMETER)
    backend = following(request, backend)
    answer = await _ANSWERS[kind](request, backend)
    answer.headers.update(policy_headers(backend.policy))
    return answer


NATIVE = Door(
    name="native",
    title="scoring",
    clients="new clients, spreadsheets, the page",
    prefixes=("/predict", "/policies/", "/thresholds"),
    strict_query=True,
    errors=NATIVE_ERRORS,
    operations=(
        Operation(
            "POST",
            "/predict",
            predict,
            scores=True,
            files=True,
            body={
                JSON_TYPE: PredictRequest,
                **dict.fromkeys(FORM_TYPES, PredictForm),
                CSV_TYPE: "content,lang\nHave a lovely day.,en\n",
                NDJSON_TYPE: NdjsonLine,
            },
            query=TABLE_PARAMETERS | POLICY_PARAMETER,
            answers={200: {JSON_TYPE: PredictAnswer, CSV_TYPE: SCORED_CSV}},
            errors={
                400: "The body does not have the form that its content type promises.",
                409: "The version's bundle lacks what the policy needs.",
                413: "The body or a text is too large, or there are too many texts.",
                415: "The content type is not accepted.",
                422: "A text, a field or the file can't be scored.",
                429: "The queue is full; the header Retry-After has the seconds to wait.",
                503: "No model version is available yet.",
                504: "The timeout passed.",
            },
        ),
        Operation(
            "GET",
            "/thresholds",
            thresholds,
            query=POLICY_PARAMETER,
            answers={200: ThresholdsAnswer},
            errors={
                409: "The version's bundle lacks what the policy needs.",
                422: "There is no such policy.",
                503: "No model version is available yet.",
            },
        ),
        Operation(
            "POST",
            "/policies/preview",
            preview,
            access=Access.OPERATOR,
            body=PreviewRequest,
            answers={200: PreviewAnswer},
            errors={
                409: "The version's bundle lacks what the policy needs.",
                413: "The body or a text is too large, or there are too many texts.",
                422: "The draft is invalid, or a text can't be scored.",
                503: "No model version is available yet.",
            },
        ),
    ),
)
