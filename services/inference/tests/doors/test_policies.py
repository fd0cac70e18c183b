"""Policies over HTTP: who follows which, and what answers contain."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
            "precise": {"thresholds": {"toxic": {"*": {"precision": 0.3}}}},
        }
    }
)


@pytest.fixture(autouse=True)
def _governed(policies: list[Policies]) -> None:
    policies.append(POLICIES)


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


async def test_thresholds_are_the_policy_s(client: httpx.AsyncClient) -> None:
    """As a list, and beside the scores of one text."""
    listed = await client.get("/thresholds", params={"policy": "forum"})
    assert listed.json()["policy"] == listed.headers["x-policy"] == "forum"
    assert listed.json()["thresholds"]["toxic"] == {"*": 0.1}
    answer = await client.post("/predict?policy=forum", json={"text": "you", "thresholds": True})
    found = answer.json()["results"][0]["thresholds"]
    assert (found["toxic"], found["insult"]) == (0.1, 0.5)


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


MODERATIONS, INFER = "/openai/v1/moderations", "/v2/models/toxic-comments/infer"
TF_PREDICT = "/v1/models/toxic-comments:predict"
TEXTS = ["lovely idea of a day", "you [b]idiot[/b]"]
TENSOR = {"name": "text", "shape": [2], "datatype": "BYTES", "data": TEXTS}
CSV = "content\n" + "".join(f"{text}\n" for text in TEXTS)
BODIES: dict[str, dict[str, Any]] = {
    "json": {"url": "/predict", "json": {"texts": TEXTS}},
    "csv": {"url": "/predict", "content": CSV, "headers": {"content-type": "text/csv"}},
    "form": {"url": "/predict", "files": {"file": ("comments.csv", CSV)}},
    "ndjson": {
        "url": "/predict",
        "content": "".join(f"{json.dumps(text)}\n" for text in TEXTS),
        "headers": {"content-type": "application/x-ndjson"},
    },
    "perspective": {"url": ANALYZE, "json": asked(TEXTS[0])},
    "openai": {"url": MODERATIONS, "json": {"input": TEXTS}},
    "open_inference": {"url": INFER, "json": {"inputs": [TENSOR]}},
    "tf_serving": {"url": TF_PREDICT, "json": {"instances": TEXTS}},
    "mlflow": {"url": "/invocations", "json": {"inputs": TEXTS}},
    "jobs": {"url": "/jobs", "content": CSV, "headers": {"content-type": "text/csv"}},
}
STATUSES = dict.fromkeys(("perspective", "openai", "open_inference", "tf_serving", "mlflow"), 400)


@pytest.mark.parametrize("door", BODIES)
async def test_an_unknown_policy_is_an_error(
    client: httpx.AsyncClient, policies: list[Policies], core: FakeCore, door: str
) -> None:
    """In the shape of every door; also on a service without policies, where others work as ever."""
    request = BODIES[door]
    for name in ("nothing", "forum"):
        headers = request.get("headers", {}) | {"x-policy": name}
        answer = await client.post(**request | {"headers": headers})
        assert answer.status_code == STATUSES.get(door, 422), answer.text
        assert f"There is no policy '{name}'" in answer.text
        policies.clear()
    assert core.texts == []
    answer = await client.post(**request)
    assert answer.is_success
    assert "policy" not in answer.text.replace('"policy":null', "")
    assert "x-policy" not in answer.headers


@pytest.mark.parametrize("door", [door for door in BODIES if door != "jobs"])
async def test_an_older_bundle_is_an_error(client: httpx.AsyncClient, core: FakeCore, door: str) -> None:
    """Except on the Perspective door, where a policy's thresholds decide nothing."""
    core.contract = core.contract.model_copy(update={"precision_curves": {}})
    request = BODIES[door]
    answer = await client.post(**request | {"params": {"policy": "precise"}})
    if door == "perspective":
        assert answer.status_code == 200
    else:
        assert answer.status_code == 409, answer.text
        assert "The policy 'precise' can't be applied to version 7" in answer.text
        assert core.texts == []


@pytest.mark.parametrize("door", ["csv", "form"])
async def test_a_table_is_decided_by_a_policy(client: httpx.AsyncClient, core: FakeCore, door: str) -> None:
    """As CSV and as JSON; the rows keep their own cells."""
    request = BODIES[door] | {"params": {"policy": "forum"}}
    answer = await client.post(**request | {"headers": request.get("headers", {}) | {"accept": "text/csv"}})
    first, second = csv.DictReader(io.StringIO(answer.text, newline=""))
    assert (first["policy"], first["decided_by"], first["decision_toxic"]) == ("forum", "list", "false")
    assert (second["decision_toxic"], second["decision_insult"]) == ("false", "true")
    assert second["content"] == TEXTS[1]
    assert [text.content for text in core.texts] == [TEXTS[0], "you idiot"]
    answer = await client.post(**request)
    assert answer.headers["x-policy"] == answer.json()["policy"] == "forum"
    assert answer.json()["results"][0]["decided_by"]["toxic"] == "list"
    assert answer.json()["results"][0]["decided_by"]["insult"] == "model"


async def test_columns_of_an_earlier_policy_are_renamed(client: httpx.AsyncClient) -> None:
    """A scored table can be scored again; the last decisions have the usual names."""
    request = BODIES["csv"]
    headers = request["headers"] | {"accept": "text/csv"}
    before = await client.post(**request | {"headers": headers, "params": {"policy": "forum"}})
    again = request | {"content": before.content, "headers": headers, "params": {"policy": "news"}}
    first, _ = csv.DictReader(io.StringIO((await client.post(**again)).text, newline=""))
    assert (first["policy_1"], first["decided_by_1"]) == ("forum", "list")
    assert (first["policy"], first["decided_by"]) == ("news", "model")


async def test_lines_are_decided_by_a_policy(client: httpx.AsyncClient, core: FakeCore) -> None:
    """Each names what decided; a policy's language is theirs if they state none."""
    answer = await client.post(**BODIES["ndjson"] | {"params": {"policy": "forum"}})
    first, second = map(json.loads, answer.text.splitlines())
    assert (first["decided_by"]["toxic"], first["decided_by"]["insult"]) == ("list", "model")
    assert (second["decisions"]["insult"], second["decided_by"]["insult"]) == (True, "list")
    assert answer.headers["x-policy"] == "forum"
    await client.post(**BODIES["ndjson"] | {"params": {"policy": "news"}})
    assert [text.language for text in core.texts] == ["en", "en", "es", "es"]


async def test_moderations_are_decided_by_a_policy(client: httpx.AsyncClient) -> None:
    """Flags and categories; scores are the model's."""
    answer = await client.post(**BODIES["openai"] | {"params": {"policy": "forum"}})
    first, second = answer.json()["results"]
    assert (first["flagged"], second["flagged"]) == (False, True)
    assert second["categories"]["harassment"]
    assert second["category_scores"]["harassment"] == 0.09
    assert (answer.headers["x-policy"], answer.headers["x-policy-decided-by"]) == ("forum", "list")


async def test_tensors_are_decided_by_a_policy(client: httpx.AsyncClient) -> None:
    """Texts; tokens have no decisions. TensorFlow Serving's scores are raw, of texts without markup."""
    answer = await client.post(**BODIES["open_inference"] | {"params": {"policy": "forum"}})
    probabilities, decisions = (output["data"] for output in answer.json()["outputs"])
    assert probabilities[0] == pytest.approx(0.2)
    assert (decisions[0], decisions[6], decisions[10]) == (False, False, True)
    assert (answer.headers["x-policy"], answer.headers["x-policy-decided-by"]) == ("forum", "list")
    answer = await client.post(**BODIES["tf_serving"] | {"params": {"policy": "forum"}})
    assert [scores[0] for scores in answer.json()["predictions"]] == pytest.approx([0.2, 0.09])
    assert answer.headers["x-policy"] == "forum"
    assert "x-policy-decided-by" not in answer.headers


async def test_long_texts_are_decided_off_the_event_loop(client: httpx.AsyncClient, core: FakeCore) -> None:
    """With the same result; spans keep the text as it was sent."""
    texts = ["[i]idiot[/i] " + "a" * 180] * 5
    answer = await client.post("/predict", params={"policy": "forum"}, json={"texts": texts})
    assert len(core.texts) == 5
    more = await client.post("/predict", params={"policy": "forum"}, json={"text": texts[0], "spans": True})
    for result in (*answer.json()["results"], *more.json()["results"]):
        assert result["decided_by"]["insult"] == "list"
    assert more.json()["results"][0]["spans"][0]["begin"] == 3


async def test_a_key_has_its_policy_and_the_request_wins(backend: Backend, tmp_path: Path) -> None:
    """A key without one follows none."""
    keys = {name: new_key(name, Role.CLIENT) for name in ("forum", "other")}
    save_keys(tmp_path / "keys.txt", tuple(key for _, key in keys.values()))
    app = create_api(backend, DOORS, rules=GuardRules(find_key=KeyFile(tmp_path / "keys.txt").find))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        for key, params, expected in (
            ("forum", {}, "forum"),
            ("forum", {"policy": "news"}, "news"),
            ("other", {}, None),
        ):
            headers = {"x-api-key": keys[key][0]}
            answer = await client.post("/predict", params=params, headers=headers, json={"text": "hello"})
            assert answer.json().get("policy") == expected
