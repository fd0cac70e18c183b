import re
from typing import Any

import httpx
import pytest

from toxic_core.labels import LABELS
from toxic_inference.doors.openai.categories import NOT_JUDGED, categorise
from toxic_inference.serving.interfaces import TextScore
from toxic_testing.inference.core import FakeCore

pytestmark = pytest.mark.anyio

MODERATIONS = "/openai/v1/moderations"
CATEGORIES = 13


def categorised(**scores: float) -> Any:
    """Return the categories of a text with these scores, decided at 0.5; other labels have 0."""
    values = tuple(scores.get(label, 0.0) for label in LABELS)
    return categorise(TextScore(values, tuple(value >= 0.5 for value in values), 3, truncated=False), LABELS)


def test_labels_become_categories() -> None:
    """A threat with hate is `hate/threatening`; toxic or insulting is harassment."""
    found = categorised(toxic=0.7, insult=0.2, threat=0.6, identity_hate=0.1)
    assert {name for name, decided in found.categories.items() if decided} == {
        "harassment",
        "harassment/threatening",
        "violence",
    }
    assert found.category_scores["harassment"] == 0.7
    assert found.category_scores["harassment/threatening"] == 0.6
    assert found.category_scores["hate/threatening"] == 0.1
    assert found.flagged
    assert found.toxicity_scores["threat"] == 0.6


def test_what_is_not_judged_is_zero_and_not_applied() -> None:
    """A client can tell a judged category from one that no label is about."""
    found = categorised(toxic=0.4)
    assert not found.flagged
    assert len(found.categories) == len(found.category_scores) == CATEGORIES
    for category in NOT_JUDGED:
        assert (found.category_scores[category], found.category_applied_input_types[category]) == (0.0, [])
    judged = found.category_applied_input_types.keys() - set(NOT_JUDGED)
    assert {tuple(found.category_applied_input_types[category]) for category in judged} == {("text",)}


def test_a_model_without_a_label_does_not_judge_its_categories() -> None:
    """A category is judged only if the model has a label of each of its groups."""
    found = categorise(TextScore((0.9,), (True,), 3, truncated=False), ("toxic",))
    assert found.category_applied_input_types["harassment"] == ["text"]
    assert found.category_applied_input_types["harassment/threatening"] == []
    assert found.category_applied_input_types["hate"] == []


@pytest.mark.parametrize(
    ("given", "scored"),
    [
        ("you again", ["you again"]),
        (["you again", "hello"], ["you again", "hello"]),
        ([{"type": "text", "text": "you"}, {"type": "text", "text": "again"}], ["you\nagain"]),
    ],
)
async def test_a_text_a_list_and_parts(
    client: httpx.AsyncClient, core: FakeCore, given: Any, scored: list[str]
) -> None:
    """A list of texts has a result each; parts are one input."""
    answer = await client.post(MODERATIONS, json={"input": given})
    assert answer.status_code == 200, answer.text
    assert [text.content for text in core.texts] == scored
    assert len(answer.json()["results"]) == len(scored)
    assert answer.json()["model"] == "omni-moderation-latest"
    assert re.fullmatch("modr-[0-9a-f]{32}", answer.json()["id"])
    assert answer.headers["x-model-version"] == "7"


@pytest.mark.parametrize(
    ("body", "status", "says", "param"),
    [
        ({}, 400, "Field required", "input"),
        ({"input": []}, 400, "Send a text, a list of texts", "input"),
        ({"input": 3}, 400, "Send a text, a list of texts", "input"),
        ({"input": ["a", 3]}, 400, "Send a text, a list of texts", "input"),
        ({"input": ["a", ""]}, 400, "is empty", None),
        ({"input": ["a"] * 6}, 413, "limit is 5", "input"),
        ({"input": "a", "user": "b"}, 400, "Unknown field|Extra inputs", "user"),
        ({"input": "a", "model": "other"}, 404, "does not exist", None),
        (
            {"input": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}]},
            400,
            "is an image",
            "input[1]",
        ),
        ([], 400, "object", "body"),
    ],
)
async def test_bad_requests_say_what_is_wrong(
    client: httpx.AsyncClient, core: FakeCore, body: Any, status: int, says: str, param: str | None
) -> None:
    """In OpenAI's shape and with its statuses; nothing is scored."""
    answer = await client.post(MODERATIONS, json=body)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert re.search(says, error["message"])
    assert error["type"] == "invalid_request_error"
    if param:
        assert error["param"] == param
    assert not core.texts


async def test_the_models_are_listed(client: httpx.AsyncClient) -> None:
    """OpenAI's names and the service's own; each can be asked for and used."""
    listed = (await client.get("/openai/v1/models")).json()
    names = [entry["id"] for entry in listed["data"]]
    assert listed["object"] == "list"
    assert {"omni-moderation-latest", "toxic-comments"} <= set(names)
    for name in names:
        shown = (await client.get(f"/openai/v1/models/{name}")).json()
        assert (shown["id"], shown["object"]) == (name, "model")
        assert (await client.post(MODERATIONS, json={"input": "a", "model": name})).json()["model"] == name
    missing = await client.get("/openai/v1/models/gpt-5")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


async def test_a_path_that_is_not_there_has_the_shape_too(client: httpx.AsyncClient) -> None:
    """Chat isn't spoken here."""
    answer = await client.post("/openai/v1/chat/completions", json={})
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "invalid_request_error"
