"""Bodies that a strict reader would refuse: without a content type, and in Google's relaxed JSON."""

import re

import httpx
import pytest

from toxic_inference.serving.interfaces import Text
from toxic_testing.inference.core import FakeCore
from toxic_testing.inference.perspective import ANALYZE, OWN_ERROR, SUGGEST, asked, error_of

pytestmark = pytest.mark.anyio

BODY = '{"comment": {"text": "hello"}, "languages": ["en"], "requestedAttributes": {"TOXICITY": {}}}'


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": ""},
        {"content-type": "text/plain"},
        {"content-type": "text/plain;charset=UTF-8"},
        {"content-type": "TEXT/PLAIN; charset=iso-8859-1"},
        {"content-type": "text/json"},
        {"content-type": "application/json; charset=utf-8"},
    ],
)
async def test_a_body_without_a_json_content_type_is_read(
    client: httpx.AsyncClient, core: FakeCore, headers: dict[str, str]
) -> None:
    """Programs that serialise by themselves often send none, or that of a text."""
    answer = await client.post(ANALYZE, content=BODY, headers=headers)
    assert answer.status_code == 200, answer.text
    assert core.texts == [Text("hello", "en")]


@pytest.mark.parametrize(
    "kind",
    ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/html", "application/xml"],
)
async def test_other_content_types_are_refused(client: httpx.AsyncClient, kind: str) -> None:
    """A form isn't JSON, even if its bytes are."""
    answer = await client.post(ANALYZE, content=BODY, headers={"content-type": kind})
    error = error_of(answer, 400, "INVALID_ARGUMENT")
    assert kind.partition(";")[0] in error["message"]


@pytest.mark.parametrize("path", [ANALYZE, SUGGEST])
@pytest.mark.parametrize("content", [b"", b" \r\n", b"{}"])
async def test_an_empty_body_is_an_empty_comment(
    client: httpx.AsyncClient, path: str, content: bytes
) -> None:
    """Some clients test a key with it and read the details."""
    for headers in ({}, {"content-type": "application/json"}):
        answer = await client.post(path, params={"key": "k"}, content=content, headers=headers)
        error = error_of(answer, 400, "INVALID_ARGUMENT")
        assert error["details"] == [{"@type": OWN_ERROR, "errorType": "COMMENT_EMPTY"}]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("{comment: {text: 'a b'}, requestedAttributes: {TOXICITY: {}}}", "a b"),
        ('{"comment": {"text": "a",}, "requestedAttributes": {"TOXICITY": {},},}', "a"),
        ("{'comment': {'text': 'say \"hi\"'}, 'requestedAttributes': {'TOXICITY': {}}}", 'say "hi"'),
        ('{"comment": {"text": "don\\\'t"}, "requestedAttributes": {"TOXICITY": {}}}', "don't"),
        ('{"comment": {"text": "a\n\tb\r\nc"}, "requestedAttributes": {"TOXICITY": {}}}', "a\n\tb\r\nc"),
        ('{comment: {text: "\\ud83d\\ude00 \\u00e9 \\q"}, requestedAttributes: {TOXICITY: {}}}', "😀 é q"),
        ('\ufeff{comment: {text: "a"}, languages: ["en",], requestedAttributes: {TOXICITY: {}}}', "a"),
    ],
)
async def test_googles_relaxed_json_is_read(
    client: httpx.AsyncClient, core: FakeCore, body: str, text: str
) -> None:
    """As the published samples are written, in a shell, in Python and by hand."""
    answer = await client.post(ANALYZE, content=body.encode(), headers={"content-type": "application/json"})
    assert answer.status_code == 200, answer.text
    assert [each.content for each in core.texts] == [text]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "nan", "0x1", ".5", "1.", "01", "+1", ""])
async def test_numbers_stay_json_numbers(client: httpx.AsyncClient, number: str) -> None:
    """In strict and in relaxed JSON."""
    relaxed = f"{{comment: {{text: 'a'}}, requestedAttributes: {{TOXICITY: {{scoreThreshold: {number}}}}}}}"
    quoted = re.sub(r"(\w+):", r'"\1":', relaxed).replace("'", '"')
    for body in (relaxed, quoted):
        error_of(await client.post(ANALYZE, content=body), 400, "INVALID_ARGUMENT")


async def test_relaxed_json_is_for_this_door_alone(client: httpx.AsyncClient) -> None:
    """The others' protocols are strict."""
    answer = await client.post(
        "/predict", content="{text: 'a'}", headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400
    assert (await client.post("/predict", json=asked())).status_code == 422
