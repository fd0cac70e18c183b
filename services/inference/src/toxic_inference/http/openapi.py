"""An example of every body in the OpenAPI document, and nothing in it that isn't answered.

Invariant: what FastAPI assumes and these routes don't do is taken out: its own shape of a validation error,
and an answer of 200 where a method is always refused.
"""

from collections.abc import Iterator
from typing import Any, Final

from toxic_core.labels import LABELS, Label
from toxic_inference import __version__
from toxic_inference.http.body import JSON_TYPE

Document = dict[str, Any]

_SCORES: Final[dict[str, float]] = {
    Label.TOXIC: 0.798,
    Label.SEVERE_TOXIC: 0.007,
    Label.OBSCENE: 0.01,
    Label.THREAT: 0.04,
    Label.INSULT: 0.423,
    Label.IDENTITY_HATE: 0.012,
}
_RAW: Final = [_SCORES[label] for label in LABELS]
_COLUMNS: Final = ",".join(LABELS)
_NUMBERS: Final = ",".join(str(score) for score in _RAW)
_LABELS_TENSOR: Final = {"name": "scores", "datatype": "FP32", "shape": [-1, len(LABELS)]}

OF_MODELS: Final[dict[str, object]] = {
    "PredictForm": {"message": "Only an idiot would write this.", "lang": "en"},
    "NdjsonLine": {"text": "Only an idiot would write this.", "id": "53922", "lang": "en"},
    "PredictAnswer": {
        "model_name": "toxic-comments",
        "model_version": "3",
        "results": [
            {
                "scores": _SCORES,
                "decisions": {label: label in {Label.TOXIC, Label.INSULT} for label in LABELS},
                "tokens": 10,
                "windows": 1,
                "truncated": False,
            }
        ],
        "errors": [],
        "scored": 1,
        "rejected": 0,
    },
    "ErrorAnswer": {
        "error": {
            "code": "invalid_request",
            "message": "texts[0] is empty; send a text.",
            "field": "texts[0]",
        }
    },
    "AnalyzeCommentResponse": {
        "attributeScores": {
            "TOXICITY": {
                "spanScores": [{"begin": 0, "end": 16, "score": {"value": 0.87, "type": "PROBABILITY"}}],
                "summaryScore": {"value": 0.798, "type": "PROBABILITY"},
            }
        },
        "languages": ["en"],
    },
    "SuggestCommentScoreResponse": {"requestedLanguages": ["en"], "clientToken": "comment-53922"},
    "ServerMetadata": {
        "name": "toxic-inference",
        "version": __version__,
        "extensions": ["binary_tensor_data"],
    },
    "ModelMetadata": {
        "name": "toxic-comments",
        "versions": ["3"],
        "platform": "tensorflow_savedmodel",
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [_LABELS_TENSOR],
    },
    "InferAnswer": {
        "model_name": "toxic-comments",
        "model_version": "3",
        "outputs": [{**_LABELS_TENSOR, "shape": [1, len(LABELS)], "data": _RAW}],
    },
    "Ready": {"name": "toxic-comments", "ready": True},
    "Live": {"live": True},
    "ProtocolError": {"error": "There is no model 'toxic'; this service serves 'toxic-comments'."},
    "JobAnswer": {
        "id": "b7d1f0c2a94e4b0f8f0c1f7a2f6f5d3e",
        "state": "running",
        "rows_done": 120_000,
        "rows_total": 1_000_000,
        "scored": 119_998,
        "rejected": 2,
        "model_version": "3",
        "created_at": "2026-11-25T09:00:00Z",
        "expires_at": "2026-11-26T09:00:00Z",
        "error": None,
    },
    "FeedbackAnswer": {"id": "queue-53922", "created": True, "text_kept": True},
    "Health": {"status": "ready", "model_name": "toxic-comments", "model_version": "3"},
}
"""By the name of the schema."""

_OF_ANSWERS: Final[dict[tuple[str, str], object]] = {
    (":predict", JSON_TYPE): {"predictions": [_RAW]},
    ("/metadata", JSON_TYPE): {
        "model_spec": {"name": "toxic-comments", "signature_name": "", "version": "3"},
        "metadata": {"signature_def": {"signature_def": {}}},
    },
    ("/$discovery/rest", JSON_TYPE): {"name": "commentanalyzer", "version": "v1alpha1", "methods": {}},
    ("/predict", "text/csv"): f"content,{_COLUMNS},error\nOnly an idiot would write this.,{_NUMBERS},\n",
    ("/result", "text/csv"): f"content,{_COLUMNS},error\nOnly an idiot would write this.,{_NUMBERS},\n",
    ("/feedback", "text/csv"): "id,text,language,toxic\nqueue-53922,Get busy living.,en,0\n",
    ("/feedback", "application/x-ndjson"): '{"id": "queue-53922", "text": "Get busy living.", "toxic": 0}\n',
}
"""Answers of 200 and 206 without a schema, by the end of the path and the media type."""

_STATUS: Final = {
    "model_version_status": [
        {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    ]
}
_METRICS: Final = 'toxic_inference_requests_total{method="POST",route="/predict",status="200"} 12.0\n'
_REFUSED: Final = (
    "Expected classification signature method_name to be tensorflow/serving/classify. "
    "Was: tensorflow/serving/predict"
)
_ASSUMED: Final = "HTTPValidationError"


def add_examples(document: Document) -> None:
    """Complete an OpenAPI document, in place."""
    schemas = document["components"]["schemas"]
    for name, example in OF_MODELS.items():
        schemas[name]["examples"] = [example]
    for assumed in (_ASSUMED, "ValidationError"):
        schemas.pop(assumed, None)
    for path, route in _routes(document):
        _correct(path, route)
        for status, answer in route["responses"].items():
            for media_type, content in answer.get("content", {}).items():
                example = _example(path, media_type) if status in {"200", "206"} else None
                if example is not None and "$ref" not in (content.get("schema") or {}):
                    content["example"] = example


def _routes(document: Document) -> Iterator[tuple[str, Document]]:
    for path, methods in document["paths"].items():
        for route in methods.values():
            yield path, route


def _correct(path: str, route: Document) -> None:
    """Take out what FastAPI assumes of every route."""
    answers = route["responses"]
    if _ASSUMED in str(answers.get("422")):
        del answers["422"]
    if path == "/metrics":
        answers["200"]["content"] = {"text/plain": {"schema": {"type": "string"}, "example": _METRICS}}
    if path.endswith((":classify", ":regress")):
        refused = {"schema": {"type": "object"}, "example": {"error": _REFUSED}}
        route["responses"] = {"400": {"description": "Always.", "content": {JSON_TYPE: refused}}}


def _example(path: str, media_type: str) -> object:
    for (end, kind), example in _OF_ANSWERS.items():
        if path.endswith(end) and kind == media_type:
            return example
    return _STATUS if path.startswith("/v1/models/") else None
