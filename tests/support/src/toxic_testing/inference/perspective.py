"""Requests to the Perspective door, and checks of its errors."""

from typing import Any

import httpx

ANALYZE = "/v1alpha1/comments:analyze"
SUGGEST = "/v1alpha1/comments:suggestscore"
OWN_ERROR = "type.googleapis.com/google.commentanalyzer.v1alpha1.Error"


def asked(text: str = "hello", *attributes: str, **members: Any) -> dict[str, Any]:
    """Return an analyze request."""
    requested: dict[str, Any] = {name: {} for name in attributes or ("TOXICITY",)}
    return {"comment": {"text": text}, "requestedAttributes": requested, **members}


def suggested(text: str = "hello", value: float = 1, **members: Any) -> dict[str, Any]:
    """Return a suggestion of TOXICITY."""
    scores = {"TOXICITY": {"summaryScore": {"value": value}}}
    return {"comment": {"text": text}, "attributeScores": scores, **members}


def error_of(answer: httpx.Response, status: int, name: str) -> dict[str, Any]:
    """Check an error's status and Google's shape; return it."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body.keys() == {"error"}
    error: dict[str, Any] = body["error"]
    assert (error["code"], error["status"]) == (status, name)
    assert error.keys() <= {"code", "message", "status", "details"}
    return error
