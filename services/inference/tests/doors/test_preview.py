"""A policy's preview: what it would flag of a sample."""

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
from toxic_testing.inference.core import FakeCore

pytestmark = pytest.mark.anyio

PREVIEW = "/policies/preview"
DRAFT = """
policies:
  forum:
    markup: bbcode
    thresholds: {toxic: {"*": 0.1}, insult: {"*": {precision: 0.9}}}
    flag: {words: [idiot], labels: [threat]}
"""
TEXTS = ["[quote]" + "a" * 50 + "[/quote]a day", "you idiot", "a lovely day", "b" * 60]


def draft(**members: Any) -> dict[str, Any]:
    """Return a request."""
    return {"policies": DRAFT, "texts": TEXTS, **members}


async def test_a_draft_shows_what_it_would_flag(
    client: httpx.AsyncClient, core: FakeCore, metric: Callable[..., float]
) -> None:
    """Beside what the version flags without it, of texts with their markup; as no traffic."""
    answer = await client.post(PREVIEW, json=draft())
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["policy"], found["model_version"], found["texts"]) == ("forum", "7", 4)
    assert (found["flagged_by_model"], found["flagged_by_policy"]) == (2, 3)
    assert found["labels"]["toxic"] == {"model": 2, "policy": 2, "by_list": 0, "threshold": 0.1}
    assert found["labels"]["threat"] == {"model": 2, "policy": 2, "by_list": 1, "threshold": 0.5}
    assert found["labels"]["insult"] == {"model": 2, "policy": 0, "by_list": 0}
    assert found["results"] == [
        {"model": True, "policy": False, "decided_by": "model"},
        {"model": False, "policy": True, "decided_by": "list"},
        {"model": False, "policy": True, "decided_by": "model"},
        {"model": True, "policy": True, "decided_by": "model"},
    ]
    assert core.texts == []
    assert core.leases == 0
    labels = {"policy": "forum", "decided_by": "list", "said": "yes"}
    assert metric("toxic_inference_policy_texts_total", **labels) == 0


@pytest.mark.parametrize(
    ("members", "status", "message"),
    [
        ({"policies": "policies: {forum: {colour: red}}"}, 422, "Line 1 of the draft, policies.forum.colour"),
        ({"policies": "policies: ["}, 422, "The draft can't be read as YAML"),
        ({"policies": "policies: {a: {}, b: {}}"}, 422, "The draft has the policies a, b; set policy"),
        ({"policy": "news"}, 422, "The draft has the policies forum"),
        ({"texts": ["a"] * 6}, 413, "the limit is 5"),
        ({"texts": []}, 422, "texts"),
        ({"texts": [""]}, 422, "is empty"),
    ],
)
async def test_a_draft_that_can_not_be_previewed_is_refused(
    client: httpx.AsyncClient, members: dict[str, Any], status: int, message: str
) -> None:
    """With the line at fault."""
    answer = await client.post(PREVIEW, json=draft(**members))
    assert answer.status_code == status
    assert message in answer.json()["error"]["message"]


async def test_an_older_bundle_can_not_preview_a_precision(client: httpx.AsyncClient, core: FakeCore) -> None:
    """As it can't apply one."""
    core.contract = core.contract.model_copy(update={"precision_curves": {}})
    answer = await client.post(PREVIEW, json=draft())
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "policy_unusable")


async def test_previews_are_for_operators(backend: Backend, tmp_path: Path) -> None:
    """A draft is compiled, which takes time and memory."""
    keys = {role: new_key(role, role) for role in Role}
    save_keys(tmp_path / "keys.txt", tuple(key for _, key in keys.values()))
    app = create_api(backend, DOORS, rules=GuardRules(find_key=KeyFile(tmp_path / "keys.txt").find))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        for role, status in ((Role.CLIENT, 403), (Role.OPERATOR, 200)):
            answer = await client.post(PREVIEW, json=draft(), headers={"x-api-key": keys[role][0]})
            assert answer.status_code == status
