"""Languages that the model wasn't evaluated for: one rule, stated or identified."""

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio

HEADER = "x-unevaluated-languages"
INFER = "/v2/models/toxic-comments/infer"
TENSOR = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["hello"]}


def infer(language: str) -> dict[str, Any]:
    """Return an infer request."""
    return {"inputs": [TENSOR], "parameters": {"language": language}}


@pytest.mark.parametrize(
    ("path", "body", "languages"),
    [
        (INFER, infer("sw"), "sw"),
        (INFER, infer("zh-Hant-TW"), "zh"),
        (INFER, infer("en-AU"), None),
        (INFER, {"inputs": [TENSOR]}, None),
        ("/openai/v1/moderations", {"input": ["hola", "hello", "123"]}, "es"),
        ("/openai/v1/moderations", {"input": ["hello", "123"]}, None),
        ("/invocations", {"inputs": ["hello", "hola"], "params": {"language": "sw"}}, "sw"),
        ("/invocations", {"inputs": {"text": ["hello", "you"], "lang": ["sw", "ur"]}}, "sw, ur"),
    ],
)
async def test_a_header_names_them(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], languages: str | None
) -> None:
    """On the doors without a member for them in their bodies."""
    answer = await client.post(path, json=body)
    assert (answer.status_code, answer.headers.get(HEADER)) == (200, languages), answer.text


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'{"text": "hello", "language": "sw"}'),
        ("application/x-ndjson", b'{"text": "hello", "lang": "sw"}\n'),
        ("text/csv", b"text,lang\nhello,sw\n"),
        ("application/x-www-form-urlencoded", b"message=hello&lang=sw"),
    ],
)
async def test_a_result_has_a_member(client: httpx.AsyncClient, kind: str, body: bytes) -> None:
    """Of texts, lines, tables and forms; a result in the model's language has none."""
    for given, expected in ((body, True), (body.replace(b"sw", b"en"), None)):
        answer = (await client.post("/predict", content=given, headers={"content-type": kind})).json()
        result = answer["results"][0] if "results" in answer else answer
        assert result.get("unevaluated_language") is expected
