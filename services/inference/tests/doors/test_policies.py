"""Policies over HTTP: who follows which, and what answers contain."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from toxic_inference.adapters.key_file import KeyFile, save_keys
from toxic_inference.doors.listing import DOORS
from toxic_inference.http.application import create_api
from toxic_inference.http.backend import Backend
from toxic_inference.http.guard import GuardRules
from toxic_inference.keys import Role, new_key
from toxic_inference.policies.file import Policies
from toxic_testing.inference.core import FakeCore
from toxic_testing.inference.perspective import ANALYZE, asked

pytestmark = pytest.mark.anyio

POLICIES = Policies.model_validate(
    {
        "policies": {
            "forum": {
                "keys": ["forum"],
                "markup": "bbcode",
                "thresholds": {"toxic": {"*": 0.1}},
                "flag": {"words": ["idiot"], "labels": ["insult"]},
                "ignore": {"words": ["lovely"], "labels": ["toxic"]},
            },
            "news": {"default_language": "es"},
        }
    }
)


@pytest.fixture
def governed(backend: Backend) -> Backend:
    """The routes' backend with policies."""
    return replace(backend, policies=lambda: POLICIES)


@pytest.fixture
def client(governed: Backend) -> httpx.AsyncClient:
    """A client of the application with policies."""
    transport = httpx.ASGITransport(create_api(governed, DOORS))
    return httpx.AsyncClient(transport=transport, base_url="http://service")


async def test_predict_decides_by_the_policy_of_a_request(
    client: httpx.AsyncClient, core: FakeCore, metric: Callable[..., float]
) -> None:
    """The answer has the name, and per label what decided; scores stay, of the text without its markup."""
    text = "[quote]" + "a" * 30 + "[/quote]you [b]idiot[/b], that's it"
    answer = await client.post(
        "/predict", params={"policy": "forum"}, json={"texts": [text, "lovely idea of a day"]}
    )
    assert answer.json()["policy"] == "forum"
    first, second = answer.json()["results"]
    assert [text.content for text in core.texts] == ["you idiot, that's it", "lovely idea of a day"]
    assert first["scores"]["toxic"] == 0.2
    assert {name for name, decision in first["decisions"].items() if decision} == {"toxic", "insult"}
    assert (first["decided_by"]["toxic"], first["decided_by"]["insult"]) == ("model", "list")
    assert (second["decisions"]["toxic"], second["decided_by"]["toxic"]) == (False, "list")
    count = "toxic_inference_policy_texts_total"
    assert metric(count, policy="forum", decided_by="list", said="yes") == 1
    assert metric(count, policy="forum", decided_by="list", said="no") == 1


async def test_a_list_scores_one_or_zero_on_the_perspective_door(
    client: httpx.AsyncClient, core: FakeCore
) -> None:
    """Headers name the policy and what decided; other attributes have the model's score."""
    headers = {"x-policy": "forum"}
    answer = await client.post(
        ANALYZE, headers=headers, json=asked("lovely idiot", "TOXICITY", "INSULT", "THREAT")
    )
    found = answer.json()["attributeScores"]
    assert {name: each["summaryScore"]["value"] for name, each in found.items()} == {
        "TOXICITY": 0, "INSULT": 1, "THREAT": 0.12
    }  # fmt: skip
    assert (answer.headers["x-policy"], answer.headers["x-policy-decided-by"]) == ("forum", "list")
    core.contract = core.contract.model_copy(update={"languages": ("en", "es")})
    answer = await client.post(ANALYZE, params={"policy": "news"}, json=asked("hello"))
    assert answer.json()["languages"] == ["es"]
    assert answer.headers["x-policy-decided-by"] == "model"


async def test_an_unknown_policy_is_an_error(client: httpx.AsyncClient, backend: Backend) -> None:
    """On both doors, and on a service without policies."""
    plain = httpx.AsyncClient(
        transport=httpx.ASGITransport(create_api(backend, DOORS)), base_url="http://service"
    )
    for each, name in ((client, "nothing"), (plain, "forum")):
        answer = await each.post("/predict", params={"policy": name}, json={"text": "hello"})
        assert answer.status_code == 422
        assert f"There is no policy '{name}'" in answer.text
        answer = await each.post(ANALYZE, params={"policy": name}, json=asked("hello"))
        assert answer.status_code == 400
    assert "policy" not in (await plain.post("/predict", json={"text": "hello"})).json()


async def test_a_key_has_its_policy_and_the_request_wins(governed: Backend, tmp_path: Path) -> None:
    """A key without one follows none."""
    keys = {name: new_key(name, Role.CLIENT) for name in ("forum", "other")}
    save_keys(tmp_path / "keys.txt", tuple(key for _, key in keys.values()))
    app = create_api(governed, DOORS, rules=GuardRules(find_key=KeyFile(tmp_path / "keys.txt").find))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        for key, params, expected in (
            ("forum", {}, "forum"),
            ("forum", {"policy": "news"}, "news"),
            ("other", {}, None),
        ):
            headers = {"x-api-key": keys[key][0]}
            answer = await client.post("/predict", params=params, headers=headers, json={"text": "hello"})
            assert answer.json().get("policy") == expected
