"""Errors in Google's shape and words."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from toxic_core.errors import NoVersionReadyError, OverloadedError
from toxic_inference.serving.errors import InferenceError
from toxic_testing.inference.core import FakeCore
from toxic_testing.inference.perspective import ANALYZE, OWN_ERROR, asked, error_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("body", "says", "kind"),
    [
        ({"requestedAttributes": {"TOXICITY": {}}}, "Comment must be non-empty.", "COMMENT_EMPTY"),
        (asked(""), "Comment must be non-empty.", "COMMENT_EMPTY"),
        (asked(" \u200b"), "Comment must be non-empty.", "COMMENT_EMPTY"),
        (asked("x" * 201), "Comment text too long.", "COMMENT_TOO_LONG"),
        ({"comment": {"text": "a"}}, "Missing requested_attributes", "NO_REQUESTED_ATTRIBUTES"),
        (asked("a", "KINDNESS"), "Unknown requested attribute: KINDNESS", "INVALID_REQUEST"),
        (asked("a", languages=["??"]), "Invalid language code: '??'", "INVALID_REQUEST"),
        (
            {"comment": {"text": "a", "type": "HTML"}, "requestedAttributes": {"TOXICITY": {}}},
            "Currently, only 'PLAIN_TEXT' comments are supported",
            "INVALID_REQUEST",
        ),
        (
            {"comment": {"text": "a"}, "requestedAttributes": {"TOXICITY": {"scoreType": "RAW"}}},
            "Requested score type RAW is not supported by attribute TOXICITY",
            "INVALID_REQUEST",
        ),
        (
            asked("a", context={"entries": [{}], "articleAndParentComment": {}}),
            "Context can have either entries or article_and_parent_comment, but both fields were populated.",
            "INVALID_REQUEST",
        ),
    ],
)
async def test_refusals_are_the_published_ones(
    client: httpx.AsyncClient, body: Any, says: str, kind: str
) -> None:
    """Message and error type as the API's documentation has them, all with status 400."""
    error = error_of(await client.post(ANALYZE, json=body), 400, "INVALID_ARGUMENT")
    assert error["message"] == says
    assert error["details"] == [{"@type": OWN_ERROR, "errorType": kind}]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (asked("hallo", "INSULT", languages=["de"]), {"requestedLanguages": ["de"]}),
        (asked("hola", "INSULT"), {"detectedLanguages": ["es"]}),
    ],
)
async def test_a_language_the_version_wasn_t_evaluated_for_is_refused(
    client: httpx.AsyncClient, body: Any, named: dict[str, list[str]]
) -> None:
    """The detail names the attribute, the languages, and whether they were asked for or found."""
    error = error_of(await client.post(ANALYZE, json=body), 400, "INVALID_ARGUMENT")
    (language,) = next(iter(named.values()))
    assert error["message"] == f"Attribute INSULT does not support request languages: {language}"
    (detail,) = error["details"]
    assert detail["errorType"] == "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE"
    assert detail["languageNotSupportedByAttributeError"] == {**named, "attribute": "INSULT"}


@pytest.mark.parametrize(
    ("body", "says", "field"),
    [
        (asked("a", nonsense=1), 'Unknown name "nonsense": Cannot find field.', None),
        (
            {"comment": {"text": "a", "lang": "en"}},
            "Unknown name \"lang\" at 'comment': Cannot find field.",
            "comment",
        ),
        ({"comment": {"text": 3}}, "Invalid value at 'comment.text' (TYPE_STRING)", "comment.text"),
        ({"comment": "a"}, "Invalid value at 'comment' (TYPE_MESSAGE)", "comment"),
        (asked("a", doNotStore="maybe"), "Invalid value at 'doNotStore' (TYPE_BOOL)", "doNotStore"),
        (asked("a", languages={}), "Invalid value at 'languages[0]' (TYPE_STRING)", "languages[0]"),
        ({"comment": {"text": "a", "type": "PDF"}}, "Invalid value at 'comment.type'", "comment.type"),
        ([], "must be a JSON object", None),
    ],
)
async def test_json_that_isn_t_the_message_is_named_as_google_names_it(
    client: httpx.AsyncClient, body: Any, says: str, field: str | None
) -> None:
    """The front end's own words, with the violated field in the detail."""
    error = error_of(await client.post(ANALYZE, json=body), 400, "INVALID_ARGUMENT")
    assert says in error["message"]
    (detail,) = error["details"]
    assert detail["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    (violation,) = detail["fieldViolations"]
    assert violation.get("field") == field


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (OverloadedError("The queue is full.", retry_after_seconds=3), 429, "RESOURCE_EXHAUSTED"),
        (NoVersionReadyError("No version is available yet."), 503, "UNAVAILABLE"),
        (InferenceError("The model failed."), 500, "INTERNAL"),
        (RuntimeError("secret"), 500, "INTERNAL"),
    ],
)
async def test_the_core_s_errors_have_google_s_shape(
    client: httpx.AsyncClient, core: FakeCore, error: Exception, status: int, name: str
) -> None:
    """Overload, no version and a failure too; an unforeseen error has no details."""
    core.error = error
    answer = await client.post(ANALYZE, json=asked())
    assert "secret" not in error_of(answer, status, name)["message"]
    assert ("retry-after" in answer.headers) is (status in {429, 503})


async def test_errors_of_the_framework_have_google_s_shape(client: httpx.AsyncClient) -> None:
    """Broken JSON, another content type, a wrong method, an unknown path and a body that is too large."""
    json = {"content-type": "application/json"}
    error_of(await client.post(ANALYZE, content=b"{", headers=json), 400, "INVALID_ARGUMENT")
    error_of(await client.post(ANALYZE, data={"text": "a"}), 400, "INVALID_ARGUMENT")
    error_of(await client.post(ANALYZE, content=b" " * 5_000, headers=json), 413, "INVALID_ARGUMENT")
    error_of(await client.get(ANALYZE), 404, "NOT_FOUND")
    error_of(await client.post("/v1alpha1/comments:nothing", json={}), 404, "NOT_FOUND")
    error_of(await client.get("/$discovery/rest", params={"version": "v9"}), 404, "NOT_FOUND")


async def test_a_departed_caller_cancels_the_work(
    client: httpx.AsyncClient, core: FakeCore, turn: Callable[..., Any]
) -> None:
    """The computation is cancelled."""
    core.held = asyncio.Event()
    task = asyncio.create_task(client.post(ANALYZE, json=asked()))
    await turn(lambda: bool(core.lanes))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert core.cancelled
    assert core.leases == 0
