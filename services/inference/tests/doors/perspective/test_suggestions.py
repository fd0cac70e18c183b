"""Suggestions: what is filed, proto3's unset members, and suggestions that replace earlier ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from toxic_inference.adapters.key_file import KeyFile, save_keys
from toxic_inference.corrections.store import DatabaseFeedbackStore
from toxic_inference.doors.listing import DOORS
from toxic_inference.http.application import create_api
from toxic_inference.http.backend import Backend
from toxic_inference.http.guard import GuardRules
from toxic_inference.keys import Role, new_key
from toxic_testing.inference.perspective import SUGGEST, error_of, suggested

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("scores", "value"),
    [
        ({"summaryScore": {}}, 0),
        ({"summaryScore": {"value": None}}, 0),
        ({"summaryScore": {"type": "PROBABILITY"}}, 0),
        ({"spanScores": [{"end": 3, "score": {"value": 0.9}}]}, 1),
        ({"spanScores": [{"score": {"value": 0.9}}]}, 1),
        ({"spanScores": [{"begin": 2, "score": {}}, {"score": {"value": 0.7}}]}, 1),
        ({"spanScores": [{"begin": 0, "end": 2, "score": {}}]}, 0),
        ({"summaryScore": {}, "spanScores": [{"score": {"value": 1}}]}, 0),
    ],
)
async def test_an_unset_number_is_zero(
    client: httpx.AsyncClient, feedback_store: DatabaseFeedbackStore, scores: dict[str, Any], value: int
) -> None:
    """Clients made from protobuf messages leave out every 0; without a place a score is the whole text's."""
    body = suggested() | {"attributeScores": {"TOXICITY": scores}}
    assert (await client.post(SUGGEST, json=body)).status_code == 200
    ((_, correction),) = feedback_store.page(after=0, limit=9)
    assert correction.labels == {"toxic": value == 1}


@pytest.mark.parametrize(
    "scores", [{}, {"spanScores": []}, {"spanScores": [{"end": 2}]}, {"spanScores": [{}]}]
)
async def test_a_score_that_is_missing_is_refused(client: httpx.AsyncClient, scores: dict[str, Any]) -> None:
    """A message that is unset is no judgement."""
    body = suggested() | {"attributeScores": {"TOXICITY": scores}}
    error_of(await client.post(SUGGEST, json=body), 400, "INVALID_ARGUMENT")


async def test_a_later_suggestion_replaces_the_earlier_one(
    client: httpx.AsyncClient, feedback_store: DatabaseFeedbackStore
) -> None:
    """Of the same community, token and text; the session doesn't matter."""
    about = {"communityId": "/forum", "clientToken": "t-1"}
    await client.post(SUGGEST, json=suggested(value=1, sessionId="1", **about))
    await client.post(SUGGEST, json=suggested(value=0, sessionId="2", **about))
    ((_, correction),) = feedback_store.page(after=0, limit=9)
    assert correction.labels == {"toxic": False}
    others: tuple[dict[str, Any], ...] = (about | {"clientToken": "t-2"}, about | {"communityId": "/x"}, {})
    for other in others:
        await client.post(SUGGEST, json=suggested(value=1, **other))
    await client.post(SUGGEST, json=suggested("another text", value=1, **about))
    kept = [correction.labels["toxic"] for _, correction in feedback_store.page(after=0, limit=9)]
    assert kept == [False, True, True, True, True]


async def test_a_text_is_removed_if_it_may_no_longer_be_stored(
    client: httpx.AsyncClient, feedback_store: DatabaseFeedbackStore
) -> None:
    """The judgement stays, without the text."""
    await client.post(SUGGEST, json=suggested(value=1))
    await client.post(SUGGEST, json=suggested(value=0, doNotStore=True))
    ((_, correction),) = feedback_store.page(after=0, limit=9)
    assert (correction.text, correction.labels) == (None, {"toxic": False})


async def test_callers_do_not_replace_one_another_s(
    backend: Backend, feedback_store: DatabaseFeedbackStore, tmp_path: Path
) -> None:
    """A caller is a key's owner."""
    keys = {name: new_key(name, Role.CLIENT) for name in ("forum", "news")}
    save_keys(tmp_path / "keys.txt", tuple(key for _, key in keys.values()))
    app = create_api(backend, DOORS, rules=GuardRules(find_key=KeyFile(tmp_path / "keys.txt").find))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        for name, value in (("forum", 1), ("news", 1), ("forum", 0)):
            await client.post(SUGGEST, params={"key": keys[name][0]}, json=suggested(value=value))
    kept = [correction.labels["toxic"] for _, correction in feedback_store.page(after=0, limit=9)]
    assert kept == [True, False]


async def test_a_suggestion_is_filed(
    client: httpx.AsyncClient, feedback_store: DatabaseFeedbackStore, metric: Callable[..., float]
) -> None:
    """From a score of a half on, the label applies to the comment; sent twice it counts once."""
    body = {
        "comment": {"text": "hello"},
        "attributeScores": {
            "TOXICITY": {"summaryScore": {"value": 1}},
            "INSULT": {"summaryScore": {"value": 0, "type": "PROBABILITY"}},
            "THREAT": {"spanScores": [{"begin": 0, "end": 2, "score": {"value": 0.9}}]},
        },
        "languages": ["en-GB"],
        "communityId": "/forum/movies",
        "clientToken": "comment-53922",
    }
    for _ in range(2):
        answer = await client.post(SUGGEST, json=body)
        assert answer.json() == {
            "clientToken": "comment-53922",
            "requestedLanguages": ["en-GB"],
            "detectedLanguages": ["en"],
        }
    ((_, feedback),) = feedback_store.page(after=0, limit=9)
    assert (feedback.text, feedback.language, feedback.actor) == ("hello", "en", "/forum/movies")
    assert feedback.labels == {"toxic": True, "insult": False, "threat": True}
    assert metric("toxic_inference_feedback_total", source="perspective") == 1
    assert metric("toxic_inference_feedback_labels_total", label="insult", said="no") == 1


async def test_a_suggestion_with_nul_is_filed(
    client: httpx.AsyncClient, feedback_store: DatabaseFeedbackStore
) -> None:
    """In the text and in the community's name, U+FFFD replaces the character that PostgreSQL can't store."""
    for _ in range(2):
        answer = await client.post(SUGGEST, json=suggested("a\0b", communityId="c\0"))
        assert answer.status_code == 200
    ((_, feedback),) = feedback_store.page(after=0, limit=9)
    assert (feedback.text, feedback.actor) == ("a\ufffdb", "c\ufffd")


@pytest.mark.parametrize("name", ["doNotStore", "do_not_store"])
async def test_a_suggestion_that_mustn_t_be_stored_leaves_no_text(
    client: httpx.AsyncClient, feedback_store: DatabaseFeedbackStore, name: str
) -> None:
    """The judgement is stored without the comment; its language is identified first."""
    scores = {"TOXICITY": {"summaryScore": {"value": 0.2}}}
    answer = await client.post(
        SUGGEST, json={"comment": {"text": "hola"}, "attributeScores": scores, name: True}
    )
    assert answer.json() == {"detectedLanguages": ["es"]}
    ((_, feedback),) = feedback_store.page(after=0, limit=9)
    assert (feedback.text, feedback.language, feedback.labels) == (None, "es", {"toxic": False})


@pytest.mark.parametrize(
    ("scores", "says"),
    [
        (None, "Missing attribute_scores"),
        ({}, "Missing attribute_scores"),
        ({"NOTHING": {"summaryScore": {"value": 1}}}, "Unknown requested attribute: NOTHING"),
        ({"TOXICITY": {}}, "Missing scores of attribute TOXICITY"),
        ({"TOXICITY": {"spanScores": [{"end": 1}]}}, "All scores of TOXICITY must be set"),
        ({"TOXICITY": {"summaryScore": {"value": 2}}}, "Scores of TOXICITY must be from 0 to 1"),
        (
            {"TOXICITY": {"summaryScore": {"value": 1, "type": "RAW"}}},
            "Requested score type RAW is not supported by attribute TOXICITY",
        ),
    ],
)
async def test_a_suggestion_that_says_nothing_is_refused(
    client: httpx.AsyncClient, scores: Any, says: str
) -> None:
    """As the published API refuses malformed suggestions."""
    answer = await client.post(SUGGEST, json={"comment": {"text": "a"}, "attributeScores": scores})
    assert error_of(answer, 400, "INVALID_ARGUMENT")["message"] == says
