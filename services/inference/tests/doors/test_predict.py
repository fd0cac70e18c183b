import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from toxic_core.errors import OverloadedError
from toxic_core.labels import LABELS
from toxic_inference.doors.listing import DOORS
from toxic_inference.http.application import create_api
from toxic_inference.http.backend import Backend
from toxic_inference.serving.errors import InferenceError
from toxic_inference.serving.interfaces import Lane, Terms, Text
from toxic_testing.inference.core import FakeCore

pytestmark = pytest.mark.anyio

JSON = {"content-type": "application/json"}


def error_of(answer: httpx.Response, status: int, code: str) -> str:
    """Check an error's status and shape; return its message."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert error["code"] == code
    assert error.keys() <= {"code", "message", "field", "rows"}
    message: str = error["message"]
    assert message.endswith((".", "?"))
    return message


async def test_texts_get_six_scores_and_the_version(client: httpx.AsyncClient, core: FakeCore) -> None:
    """JSON in, and per text six scores, six decisions, and which version answered."""
    answer = await client.post("/predict", json={"texts": ["a" * 20, "b" * 95]})
    assert answer.status_code == 200
    assert answer.headers["x-model-version"] == "7"
    body = answer.json()
    assert (body["model_name"], body["model_version"]) == ("toxic-comments", "7")
    assert (body["scored"], body["rejected"], body["errors"]) == (2, 0, [])
    first, second = body["results"]
    assert first == {
        "scores": dict.fromkeys(LABELS, 0.2),
        "decisions": dict.fromkeys(LABELS, False),
        "tokens": 3,
        "windows": 1,
        "truncated": False,
        "language": "en",
        "language_confidence": 1.0,
    }
    assert list(first["scores"]) == list(LABELS)
    assert (second["truncated"], set(second["decisions"].values())) == (True, {True})
    assert core.lanes == [Lane.INTERACTIVE]
    assert core.leases == 0


@pytest.mark.parametrize("member", ["lang", "language"])
async def test_a_language_reaches_the_core(client: httpx.AsyncClient, core: FakeCore, member: str) -> None:
    """Thresholds and calibration are chosen by the request's language, in any case and with any region."""
    await client.post("/predict", json={"text": "hola", member: "ES-mx"})
    assert core.texts == [Text("hola", "es")]


async def test_a_language_can_be_identified(client: httpx.AsyncClient, core: FakeCore) -> None:
    """For texts without one; it chooses thresholds, and the answer contains it."""
    answer = await client.post("/predict", json={"texts": ["hola", "12"]})
    assert [result["language"] for result in answer.json()["results"]] == ["es", "und"]
    assert core.texts == [Text("hola", "es"), Text("12", "und")]
    assert [result["language_confidence"] for result in answer.json()["results"]] == [0.75, 1.0]
    assert [result.get("unevaluated_language") for result in answer.json()["results"]] == [True, None]
    said = await client.post("/predict", json={"text": "hola", "lang": "en"})
    assert said.json()["results"][0]["language"] == "en"
    assert "language_confidence" not in said.json()["results"][0]
    unsaid = await client.post("/predict", json={"text": "hola", "identify_language": False})
    assert "language" not in unsaid.json()["results"][0]
    assert core.texts[-1] == Text("hola", None)


async def test_thresholds_are_listed_and_answered(client: httpx.AsyncClient, core: FakeCore) -> None:
    """By label and language as a list; for one text on request, in its language."""
    toxic = core.contract.labels[0]
    thresholds = {**core.contract.thresholds, toxic: {"*": 0.5, "es": 0.25}}
    core.contract = core.contract.model_copy(update={"thresholds": thresholds})
    listed = (await client.get("/thresholds")).json()
    assert (listed["model_version"], listed["languages"]) == ("7", ["en"])
    assert listed["thresholds"][toxic] == {"*": 0.5, "es": 0.25}
    answer = await client.post("/predict", json={"texts": ["hola", "you"], "thresholds": True})
    assert [result["thresholds"][toxic] for result in answer.json()["results"]] == [0.25, 0.5]
    core.ready = False
    error_of(await client.get("/thresholds"), 503, "no_version_ready")


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("text/csv", b"content\nhola\n"),
        ("application/x-ndjson", b'"hola"\n'),
        ("application/x-www-form-urlencoded", b"message=hola"),
    ],
)
async def test_a_language_is_identified_in_every_form(
    client: httpx.AsyncClient, core: FakeCore, kind: str, content: bytes
) -> None:
    """A row, a line and a form's message have the thresholds that the text has in JSON."""
    answer = await client.post("/predict", content=content, headers={"content-type": kind})
    assert answer.status_code == 200
    assert core.texts == [Text("hola", "es")]


async def test_words_that_drove_a_score_are_told_on_request(client: httpx.AsyncClient) -> None:
    """Their positions in the text and their influence on each score; for one text at a time."""
    (result,) = (await client.post("/predict", json={"text": "you fool", "spans": True})).json()["results"]
    assert [(span["begin"], span["end"]) for span in result["spans"]] == [(0, 3), (4, 8)]
    assert result["spans"][0]["influence"] == dict.fromkeys(LABELS, 0.1)
    error_of(await client.post("/predict", json={"texts": ["a", "b"], "spans": True}), 422, "invalid_request")


async def test_terms_reach_the_core(client: httpx.AsyncClient, core: FakeCore) -> None:
    """The body's timeout before the header's; scores are not stored if the caller forbids it."""
    await client.post(
        "/predict", json={"text": "a", "timeout": 2, "do_not_store": True}, headers={"timeout": "9"}
    )
    await client.post("/predict", json={"text": "a"}, headers={"timeout": "0.5"})
    await client.post(
        "/v1/models/toxic-comments:predict", json={"instances": ["a"]}, headers={"timeout": "3"}
    )
    assert core.terms == [
        Terms(timeout_seconds=2, store=False, caller="127.0.0.1"),
        Terms(timeout_seconds=0.5, caller="127.0.0.1"),
        Terms(timeout_seconds=3, caller="127.0.0.1"),
    ]


@pytest.mark.parametrize("given", ["soon", "0", "-1", "nan", "inf", "1e9", ""])
async def test_a_timeout_that_is_none_is_refused(client: httpx.AsyncClient, given: str) -> None:
    """With the header's name."""
    answer = await client.post("/predict", json={"text": "a"}, headers={"timeout": given})
    assert "timeout" in error_of(answer, 422, "invalid_request")


async def test_a_form_s_message_is_scored(client: httpx.AsyncClient) -> None:
    """The original form works, URL-encoded and multipart."""
    for answer in (
        await client.post("/predict", data={"message": "hello"}),
        await client.post("/predict", files={"message": (None, b"hello")}),
    ):
        (result,) = answer.json()["results"]
        assert result["scores"]["toxic"] == 0.05
        assert "line" not in result


@pytest.mark.parametrize(
    ("body", "status", "code", "says"),
    [
        ("null", 422, "invalid_request", "body"),
        ("[]", 422, "invalid_request", "body"),
        ("3", 422, "invalid_request", "body"),
        ("{}", 422, "invalid_request", "either texts"),
        ('{"texts": null}', 422, "invalid_request", "either texts"),
        ('{"texts": []}', 422, "invalid_request", "at least 1"),
        ('{"texts": "one"}', 422, "invalid_request", "list"),
        ('{"texts": ["a", 3]}', 422, "invalid_request", r"texts\[1\]"),
        ('{"texts": ["a", null]}', 422, "invalid_request", r"texts\[1\]"),
        ('{"texts": ["a"], "text": "b"}', 422, "invalid_request", "either"),
        ('{"textz": ["a"]}', 422, "invalid_request", "textz: Unknown field; the fields are texts, text, l"),
        ('{"text": "a", "lang": "not a code"}', 422, "invalid_request", "lang"),
        ('{"text": "a", "lang": "en", "language": "es"}', 422, "invalid_request", "differ"),
        ('{"texts": ["a", ""]}', 422, "invalid_text", r"texts\[1\] is empty"),
        ('{"text": "  "}', 422, "invalid_text", "white space"),
        ('{"text": "\\u200b"}', 422, "invalid_text", "invisible"),
        ('{"text": "\\ud800"}', 422, "invalid_text", "surrogate"),
        (json.dumps({"text": "x" * 201}), 413, "text_too_long", "201 bytes"),
        (json.dumps({"texts": ["x"] * 6}), 413, "too_many_texts", "limit is 5"),
        ("", 400, "malformed_request", "is not JSON"),
        ("{", 400, "malformed_request", "line 1, column 2"),
        ('{"text": "a"} {}', 400, "malformed_request", "Extra data"),
        ('{"text": NaN}', 400, "malformed_request", "NaN"),
        ('{"text": -Infinity}', 400, "malformed_request", "Infinity"),
        ('{"text": "a", "text": "b"}', 400, "malformed_request", '"text" twice'),
        ("[" * 3_000, 400, "malformed_request", "too deeply"),
        ('{"a":' * 700, 400, "malformed_request", "JSON"),
        ("9" * 3_900, 422, "invalid_request", "body"),
        ("{'text': 'a'}", 400, "malformed_request", "JSON"),
    ],
)
async def test_bad_json_is_refused_with_the_reason(
    client: httpx.AsyncClient, body: str, status: int, code: str, says: str
) -> None:
    """Each way of getting JSON wrong has a status, a code and a sentence."""
    answer = await client.post("/predict", content=body, headers=JSON)
    assert re.search(says, error_of(answer, status, code))


async def test_json_that_isn_t_utf8_is_refused(client: httpx.AsyncClient) -> None:
    """The first invalid byte is named."""
    answer = await client.post("/predict", content=b'{"text": "\xff"}', headers=JSON)
    assert "byte 11" in error_of(answer, 400, "malformed_request")


async def test_a_byte_order_mark_is_forgiven(client: httpx.AsyncClient) -> None:
    """Some clients put one before JSON."""
    answer = await client.post("/predict", content=b'\xef\xbb\xbf{"text": "a"}', headers=JSON)
    assert answer.status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/octet-stream", ""])
async def test_other_content_types_are_refused(client: httpx.AsyncClient, kind: str) -> None:
    """The message lists what is read."""
    answer = await client.post("/predict", content=b"a", headers={"content-type": kind} if kind else {})
    assert "application/json" in error_of(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"data": {"lang": "en"}}, "message"),
        ({"data": {"message": "a", "txt": "x"}}, "txt"),
        ({"data": {"message": "a"}, "params": {"policy": "strict"}}, "policy"),
        ({"data": {"message": ["a", "b"]}}, "message"),
        ({"data": {"file": "not a file"}}, "file"),
        ({"files": {"message": ("m.txt", b"hello")}}, "message"),
        ({"data": {"message": "a", "lang": "???"}}, "lang"),
    ],
)
async def test_bad_forms_are_refused_by_field(
    client: httpx.AsyncClient, form: dict[str, Any], field: str
) -> None:
    """Missing, doubled and misplaced fields are named."""
    answer = await client.post("/predict", **form)
    error_of(answer, 422, "invalid_request")
    assert answer.json()["error"]["field"] == field


@pytest.mark.parametrize("multipart", [False, True])
async def test_a_form_s_bytes_are_never_replaced(
    client: httpx.AsyncClient,
    core: FakeCore,
    multipart: bool,  # noqa: FBT001  a case
) -> None:
    """A message in another encoding is refused, or decoded if the form declares the encoding."""
    message = "привет".encode("cp1251")
    body, kind = b"message=%EF%F0%E8%E2%E5%F2", "application/x-www-form-urlencoded"
    if multipart:
        part = b'--x\r\ncontent-disposition: form-data; name="message"\r\n\r\n'
        body, kind = part + message + b"\r\n--x--\r\n", "multipart/form-data; boundary=x"
    answer = await client.post("/predict", content=body, headers={"content-type": kind})
    assert "message contains bytes that are not UTF-8" in error_of(answer, 422, "invalid_request")
    declared = {"content-type": f"{kind}; charset=windows-1251"}
    assert (await client.post("/predict", content=body, headers=declared)).status_code == 200
    assert [text.content for text in core.texts] == ["привет"]


async def test_json_is_read_in_its_declared_encoding(client: httpx.AsyncClient, core: FakeCore) -> None:
    """Bytes that aren't in it are an error."""
    body, kind = '{"text": "привет"}'.encode("cp1251"), "application/json; charset="
    answer = await client.post("/predict", content=body, headers={"content-type": f"{kind}cp1251"})
    assert (answer.status_code, core.texts[0].content) == (200, "привет")
    answer = await client.post("/predict", content=b'"\x81"', headers={"content-type": f"{kind}latin1"})
    error_of(answer, 400, "malformed_request")


async def test_an_empty_message_is_refused(client: httpx.AsyncClient) -> None:
    """An empty form field isn't a text."""
    answer = await client.post("/predict", data={"message": ""})
    error_of(answer, 422, "invalid_text")


async def test_a_broken_multipart_body_is_refused(client: httpx.AsyncClient) -> None:
    """A body without its boundary isn't a form."""
    kind = "multipart/form-data; boundary=x"
    answer = await client.post("/predict", content=b"nothing of the kind", headers={"content-type": kind})
    error_of(answer, 400, "malformed_request")
    answer = await client.post("/predict", content=b"a", headers={"content-type": "multipart/form-data"})
    error_of(answer, 400, "malformed_request")


async def test_a_declared_length_over_the_limit_is_refused_unread(client: httpx.AsyncClient) -> None:
    """The answer comes from the header alone."""
    answer = await client.post("/predict", content=b" " * 4_001, headers=JSON)
    assert "4,000 bytes" in error_of(answer, 413, "body_too_large")


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
async def test_an_undeclared_length_over_the_limit_is_refused_while_it_streams(
    client: httpx.AsyncClient, kind: str
) -> None:
    """A chunked body is cut off at the limit; what would come after isn't asked for."""
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 1_000
            yield b"m" * 1_000

    answer = await client.post("/predict", content=endless(), headers={"content-type": kind})
    error_of(answer, 413, "body_too_large")
    assert sent <= 6_000


async def test_overload_says_when_to_come_back(client: httpx.AsyncClient, core: FakeCore) -> None:
    """A full queue is 429 with Retry-After."""
    core.error = OverloadedError("The queue is full.", retry_after_seconds=3.4)
    answer = await client.post("/predict", json={"text": "a"})
    error_of(answer, 429, "overloaded")
    assert answer.headers["retry-after"] == "4"


async def test_no_version_is_503(client: httpx.AsyncClient, core: FakeCore) -> None:
    """Before a version is available, the answer has a Retry-After."""
    core.ready = False
    answer = await client.post("/predict", json={"text": "a"})
    error_of(answer, 503, "no_version_ready")
    assert answer.headers["retry-after"] == "1"


async def test_a_failing_model_is_500_in_the_same_shape(client: httpx.AsyncClient, core: FakeCore) -> None:
    """The core's errors and unforeseen ones are both answered."""
    core.error = InferenceError("The model failed.")
    error_of(await client.post("/predict", json={"text": "a"}), 500, "inference_failed")
    core.error = ZeroDivisionError("secret detail")
    message = error_of(await client.post("/predict", json={"text": "a"}), 500, "internal")
    assert "secret" not in message


async def test_unknown_routes_and_methods_have_the_same_shape(client: httpx.AsyncClient) -> None:
    """404 and 405 are JSON too, and 405 names what is allowed."""
    error_of(await client.get("/nothing"), 404, "not_found")
    answer = await client.get("/predict")
    error_of(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


async def test_a_caller_who_leaves_is_not_computed_for(
    core: FakeCore, backend: Backend, metric: Callable[..., float]
) -> None:
    """When the connection goes, the call into the core is cancelled and counted as 499."""
    core.held = asyncio.Event()
    body = iter([{"type": "http.request", "body": b'{"text": "a"}', "more_body": False}])

    async def receive() -> dict[str, Any]:
        return next(body, {"type": "http.disconnect"})

    async def send(message: dict[str, Any]) -> None:
        raise AssertionError(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/predict",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }
    await create_api(backend, DOORS)(scope, receive, send)  # type: ignore[arg-type]
    assert core.cancelled
    assert core.leases == 0
    assert (
        metric("toxic_inference_requests_total", door="native", route="/predict", method="POST", status="499")
        == 1
    )


async def test_every_answer_carries_its_request_s_name(client: httpx.AsyncClient) -> None:
    """A proper X-Request-ID is kept; anything else is replaced."""
    kept = await client.get("/health/live", headers={"x-request-id": "abc-1"})
    replaced = await client.get("/health/live", headers={"x-request-id": "a b"})
    assert kept.headers["x-request-id"] == "abc-1"
    assert len(replaced.headers["x-request-id"]) == 32


async def test_concurrent_requests_are_answered_each_with_its_own(client: httpx.AsyncClient) -> None:
    """No answer goes to another caller."""
    answers = await asyncio.gather(
        *(client.post("/predict", json={"text": "x" * length}) for length in range(1, 60))
    )
    scores = [answer.json()["results"][0]["scores"]["toxic"] for answer in answers]
    assert scores == [length / 100 for length in range(1, 60)]
