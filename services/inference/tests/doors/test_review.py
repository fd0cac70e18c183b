import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from toxic_inference.adapters.key_file import KeyFile, save_keys
from toxic_inference.corrections.review_queue import ReviewQueue
from toxic_inference.corrections.review_store import Candidate
from toxic_inference.corrections.sampling import ReviewSampler
from toxic_inference.corrections.store import DatabaseFeedbackStore
from toxic_inference.doors.listing import DOORS
from toxic_inference.events import ReviewReason
from toxic_inference.http.application import create_api
from toxic_inference.http.backend import Backend
from toxic_inference.http.guard import GuardRules
from toxic_inference.keys import Role, new_key
from toxic_testing.inference.core import FakeCore

pytestmark = pytest.mark.anyio

TEXT = "you are kind"
PATH = "/review/" + hashlib.sha256(TEXT.encode()).hexdigest()
KIND = {"labels": {"toxic": False, "threat": False}}
RUDE = {"labels": {"toxic": True, "threat": False}}
KEYS = {name: new_key(name, Role.OPERATOR) for name in ("ann", "bob", "eve")}
FORUM = new_key("forum", Role.CLIENT)

Ask = Callable[..., Any]


@pytest.fixture
async def ask(backend: Backend, tmp_path: Path) -> AsyncIterator[Ask]:
    """Return the function that sends a request with a person's key."""
    save_keys(tmp_path / "keys.txt", (FORUM[1], *(key for _, key in KEYS.values())))
    app = create_api(backend, DOORS, rules=GuardRules(find_key=KeyFile(tmp_path / "keys.txt").find))
    secrets = {name: secret for name, (secret, _) in KEYS.items()} | {"forum": FORUM[0]}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:

        async def send(name: str, method: str, path: str, **options: Any) -> httpx.Response:
            return await client.request(method, path, headers={"x-api-key": secrets[name]}, **options)

        yield send


@pytest.fixture
async def queued(review_queue: ReviewQueue) -> None:
    """One text to review."""
    seen = {"toxic": (0.52, True), "threat": (0.1, False)}
    review_queue.offer(Candidate(TEXT, "en", "7", seen, ReviewReason.UNCERTAIN, 0.02))
    await review_queue.flush()


@pytest.mark.usefixtures("queued")
async def test_two_equal_opinions_become_corrections_of_both(
    ask: Ask, feedback_store: DatabaseFeedbackStore, metric: Callable[..., float]
) -> None:
    """Each reviewer, by the API key, is an actor; the text leaves the review."""
    page = (await ask("ann", "GET", "/review")).json()
    assert page["enabled"]
    (text,) = page["texts"]
    assert (text["text"], text["reason"], text["opinions"], text["disputed"]) == (TEXT, "uncertain", 0, [])
    assert text["labels"] == {
        "toxic": {"score": 0.52, "decision": True},
        "threat": {"score": 0.1, "decision": False},
    }
    assert (await ask("ann", "POST", PATH, json=KIND)).json() == {"outcome": "waiting", "disputed": []}
    assert (await ask("ann", "GET", "/review")).json()["texts"] == []
    assert (await ask("bob", "GET", "/review")).json()["texts"][0]["opinions"] == 1
    assert (await ask("bob", "POST", PATH, json=KIND)).json() == {"outcome": "decided", "disputed": []}
    found = [kept for _, kept in feedback_store.page(after=0, limit=9)]
    assert [(kept.caller, kept.actor, kept.labels) for kept in found] == [
        ("ann", "ann", KIND["labels"]),
        ("bob", "bob", KIND["labels"]),
    ]
    assert {(kept.text, kept.source, kept.model_version) for kept in found} == {(TEXT, "review", "7")}
    assert found[0].scores == {"toxic": 0.52, "threat": 0.1}
    assert (await ask("eve", "POST", PATH, json=KIND)).status_code == 404
    assert metric("toxic_inference_review_texts_total", reason="uncertain") == 1
    assert metric("toxic_inference_review_opinions_total", outcome="decided") == 1
    assert metric("toxic_inference_feedback_total", source="review") == 2


@pytest.mark.usefixtures("queued")
async def test_a_third_opinion_settles_a_dispute(ask: Ask, feedback_store: DatabaseFeedbackStore) -> None:
    """Each reviewer's correction has the labels on which the decision follows that reviewer."""
    await ask("ann", "POST", PATH, json=KIND)
    disputed = {"outcome": "disputed", "disputed": ["toxic"]}
    assert (await ask("bob", "POST", PATH, json=RUDE)).json() == disputed
    (text,) = (await ask("eve", "GET", "/review")).json()["texts"]
    assert (text["opinions"], text["disputed"]) == (2, ["toxic"])
    assert (await ask("eve", "POST", PATH, json=RUDE)).json()["outcome"] == "decided"
    assert {kept.caller: kept.labels for _, kept in feedback_store.page(after=0, limit=9)} == {
        "ann": {"threat": False},
        "bob": RUDE["labels"],
        "eve": RUDE["labels"],
    }
    labels = (await ask("ann", "GET", "/review/agreement")).json()["labels"]
    assert labels["toxic"] == {"texts": 1, "agreed": 0.0, "kappa": 0.0}
    assert labels["threat"] == {"texts": 1, "agreed": 1.0}


@pytest.mark.usefixtures("queued")
async def test_only_operators_review(ask: Ask) -> None:
    """Texts are for people whom the operator gave a key for it."""
    for method, path in (
        ("GET", "/review"),
        ("GET", "/review/agreement"),
        ("GET", "/review/label-studio"),
        ("POST", "/review/label-studio"),
        ("POST", PATH),
        ("DELETE", PATH),
    ):
        assert (await ask("forum", method, path)).status_code == 403


async def test_contradicting_corrections_are_reviewed(ask: Ask, review_queue: ReviewQueue) -> None:
    """If two callers judge a text differently, and its sender consents."""
    filed = {"text": TEXT, "consent": True}
    await ask(
        "forum", "POST", "/feedback", json=filed | {"labels": {"toxic": True}, "scores": {"toxic": 0.7}}
    )
    await ask("ann", "POST", "/feedback", json=filed | {"labels": {"toxic": False}})
    await review_queue.flush()
    (text,) = (await ask("ann", "GET", "/review")).json()["texts"]
    assert (text["text"], text["reason"], text["labels"]) == (TEXT, "contradiction", {"toxic": {}})


@pytest.mark.usefixtures("queued")
async def test_a_text_is_deleted_everywhere(ask: Ask, feedback_store: DatabaseFeedbackStore) -> None:
    """From the review and from corrections, by its digest."""
    await ask("forum", "POST", "/feedback", json={"text": TEXT, "consent": True, "labels": {"toxic": True}})
    assert (await ask("ann", "DELETE", PATH)).status_code == 204
    assert (await ask("ann", "GET", "/review")).json()["texts"] == []
    assert feedback_store.page(after=0, limit=9) == []
    assert (await ask("ann", "DELETE", PATH)).status_code == 404


def annotated(*chosen: list[str], **data: Any) -> dict[str, Any]:
    """Return a task as Label Studio exports it, annotated by one person after the other."""
    annotations = [
        {
            "id": number,
            "completed_by": number if number % 2 else {"id": number, "email": "a@example.org"},
            "was_cancelled": False,
            "lead_time": 1.5,
            "result": [
                {"id": "x", "type": "choices", "from_name": "labels", "to_name": "text",
                 "value": {"choices": choices}}
            ] if choices else [],
        }
        for number, choices in enumerate(chosen)
    ]  # fmt: skip
    return {"id": 1, "data": data, "annotations": annotations, "drafts": [], "predictions": []}


@pytest.mark.usefixtures("queued")
async def test_label_studio_annotates_the_texts(ask: Ask, feedback_store: DatabaseFeedbackStore) -> None:
    """What is exported comes back annotated; all of its people are one actor, the importing key."""
    (task,) = (await ask("ann", "GET", "/review/label-studio")).json()
    assert task["data"]["text"] == TEXT
    (prediction,) = task["predictions"]
    assert prediction["model_version"] == "7"
    assert prediction["result"][0]["value"] == {"choices": ["toxic"]}
    position = task["data"]["place"]
    assert (await ask("ann", "GET", "/review/label-studio", params={"after": position})).json() == []
    body = [annotated([], ["toxic"], [], **task["data"]), annotated([], digest="0" * 64, labels=["toxic"])]
    answer = await ask("ann", "POST", "/review/label-studio", json=body)
    assert answer.json() == {"opinions": 3, "decided": 1, "unknown": 1}
    ((_, kept),) = feedback_store.page(after=0, limit=9)
    assert (kept.caller, kept.labels) == ("ann", KIND["labels"])


DATA = {"digest": PATH.rpartition("/")[2], "labels": ["toxic", "threat"]}


@pytest.mark.usefixtures("queued")
@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("POST", "/review/label-studio", {}, "list of tasks"),
        ("POST", "/review/label-studio", [annotated([])], "tasks[0].data.digest"),
        ("POST", "/review/label-studio", [annotated(["rude"], **DATA)], "tasks[0]: Judge each"),
        ("POST", "/review/label-studio", [{"data": DATA, "annotations": [{"result": []}]}], "completed_by"),
        ("POST", "/review/label-studio", [annotated([], **DATA)] * 501, "at most 500"),
        ("POST", PATH, {"labels": {"toxic": True}}, "Judge each of the text's labels: toxic, threat"),
        ("POST", PATH, {"labels": {}}, "labels"),
        ("POST", PATH, {"labels": {"toxic": "yes", "threat": False}}, "labels.toxic"),
        ("GET", "/review?after=x", None, "after must be"),
        ("GET", "/review?from=1", None, "from"),
    ],
)
async def test_a_faulty_request_is_explained(
    ask: Ask, method: str, path: str, body: Any, message: str, feedback_store: DatabaseFeedbackStore
) -> None:
    """With the place of the fault; nothing of it counts."""
    answer = await ask("ann", method, path, **({} if body is None else {"json": body}))
    assert answer.status_code == 422, answer.text
    assert message in answer.json()["error"]["message"]
    assert feedback_store.page(after=0, limit=9) == []


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/predict", {"text": "y" * 52, "do_not_store": True}, {}),
        ("/predict", {"text": "y" * 52}, {"do-not-store": "true"}),
        ("/openai/v1/moderations", {"input": "y" * 52}, {"do-not-store": "TRUE"}),
        ("/v1alpha1/comments:analyze", {"comment": {"text": "y" * 52}, "doNotStore": True}, {}),
    ],
)
async def test_no_door_keeps_a_text_that_its_sender_declines(
    backend: Backend, review_queue: ReviewQueue, core: FakeCore, path: str, body: Any, headers: dict[str, str]
) -> None:
    """By the door's own member, or by the header `do-not-store`; without either the text is kept."""
    sampler = ReviewSampler(core, offer=review_queue.offer, fraction=1.0, draw=lambda: 0.0)
    app = create_api(replace(backend, scorer=sampler), DOORS)
    store = review_queue.store
    if "comments" in path:
        body |= {"requestedAttributes": {"TOXICITY": {}}}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        for given, sent, count in (
            (body, headers, 0),
            ({k: v for k, v in body.items() if "tore" not in k}, {}, 1),
        ):
            assert (await client.post(path, json=given, headers=sent)).status_code == 200
            await review_queue.flush()
            found = store.page(after=None, limit=9, reviewer=None, since=review_queue.since())
            assert len(found) == count
        wrong = await client.post(path, json=body, headers={"do-not-store": "maybe"})
        assert wrong.status_code in {400, 422}
        assert "do-not-store must be true or false" in wrong.text
