import csv
import io
import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from toxic_core.labels import LABELS
from toxic_inference.corrections.service import pseudonym
from toxic_inference.corrections.store import DatabaseFeedbackStore
from toxic_inference.corrections.tables import digest_of
from toxic_inference.doors.listing import DOORS
from toxic_inference.http.application import create_api
from toxic_inference.http.backend import Backend

pytestmark = pytest.mark.anyio

CORRECTION = {
    "id": "queue-1",
    "text": "=you are, kind",
    "consent": True,
    "labels": {"toxic": False, "insult": True},
    "language": "EN-us",
    "model_version": "7",
    "scores": {"toxic": 0.75},
    "actor": "moderator-7",
}


async def test_a_correction_is_kept_once(
    client: httpx.AsyncClient, feedback_store: DatabaseFeedbackStore, metric: Callable[..., float]
) -> None:
    """201 the first time; sent again, 200 and no second correction."""
    first, second = [await client.post("/feedback", json=CORRECTION) for _ in range(2)]
    assert (first.status_code, first.json()) == (201, {"id": "queue-1", "created": True, "text_kept": True})
    assert (second.status_code, second.json()["created"]) == (200, False)
    ((_, kept),) = feedback_store.page(after=0, limit=9)
    assert (kept.text, kept.language, kept.model_version) == ("=you are, kind", "en", "7")
    assert (kept.labels, kept.scores) == ({"toxic": False, "insult": True}, {"toxic": 0.75})
    assert metric("toxic_inference_feedback_total", source="native") == 1
    assert metric("toxic_inference_feedback_labels_total", label="insult", said="yes") == 1


async def test_an_id_means_one_correction(client: httpx.AsyncClient) -> None:
    """Another correction under a taken id is refused, not merged."""
    await client.post("/feedback", json=CORRECTION)
    answer = await client.post("/feedback", json=CORRECTION | {"labels": {"toxic": True}})
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "feedback_conflict"


async def test_without_consent_the_text_isn_t_kept(
    client: httpx.AsyncClient, feedback_store: DatabaseFeedbackStore
) -> None:
    """The rest is, under an id made here."""
    answer = await client.post("/feedback", json={"text": "hello", "labels": {"toxic": True}})
    assert answer.json()["text_kept"] is False
    assert re.fullmatch(r"[0-9a-f]{32}", answer.json()["id"])
    ((_, kept),) = feedback_store.page(after=0, limit=9)
    assert kept.text is None


async def test_a_header_withdraws_the_consent(
    client: httpx.AsyncClient, feedback_store: DatabaseFeedbackStore
) -> None:
    """With `do-not-store: true`, by both doors that take corrections, the text isn't kept."""
    suggested = {
        "comment": {"text": "hello"},
        "attributeScores": {"TOXICITY": {"summaryScore": {"value": 1}}},
    }
    for path, body in (("/feedback", CORRECTION), ("/v1alpha1/comments:suggestscore", suggested)):
        answer = await client.post(path, json=body, headers={"do-not-store": "true"})
        assert answer.is_success, answer.text
    assert [kept.text for _, kept in feedback_store.page(after=0, limit=9)] == [None, None]


async def test_the_export_is_a_table_for_training(client: httpx.AsyncClient) -> None:
    """One row a correction, texts as they came, labels 0, 1 or empty."""
    await client.post("/feedback", json=CORRECTION)
    await client.post("/feedback", json={"id": "b", "labels": {"threat": True}})
    answer = await client.get("/feedback")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert list(rows[0]) == [
        "id", "text", "language", *LABELS, "created_at", "model_version", "source", "caller", "place",
    ]  # fmt: skip
    assert [rows[0][label] for label in LABELS] == ["0", "", "", "", "1", ""]
    assert (rows[0]["text"], rows[0]["created_at"]) == ("=you are, kind", "2026-01-02T03:04:05+00:00")
    assert (rows[1]["id"], rows[1]["text"], rows[1]["threat"], rows[1]["toxic"]) == ("b", "", "1", "")
    lines = (await client.get("/feedback", params={"format": "ndjson"})).text.splitlines()
    assert [json.loads(line)["insult"] for line in lines] == [1, None]


async def test_an_empty_export_is_a_header(client: httpx.AsyncClient) -> None:
    """A table without rows is still a table."""
    assert (await client.get("/feedback")).text.count("\n") == 1
    assert (await client.get("/feedback", params={"format": "ndjson"})).text == ""
    assert (await client.get("/feedback", params={"format": "xml"})).status_code == 422


async def test_a_long_export_has_every_row(client: httpx.AsyncClient, tmp_path: Path) -> None:
    """Over the edge of a page, each once and in order."""
    rows = [(str(index),) for index in range(1_003)]
    with closing(sqlite3.connect(tmp_path / "feedback.db")) as connection, connection:
        connection.executemany(
            "INSERT INTO correction (id, created_at, source) VALUES (?, '2026-01-02 03:04:05', 'native')",
            rows,
        )
    lines = (await client.get("/feedback", params={"format": "ndjson"})).text.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [str(index) for index in range(1_003)]


async def test_an_export_continues_after_a_place(client: httpx.AsyncClient) -> None:
    """What was deleted meanwhile is absent; a place that is no number is refused."""
    for name in "abc":
        await client.post("/feedback", json={"id": name, "labels": {"threat": True}})
    await client.delete("/feedback/b")

    async def ids(after: str) -> list[tuple[str, int]]:
        answer = await client.get("/feedback", params={"format": "ndjson", "after": after})
        return [(row["id"], row["place"]) for row in map(json.loads, answer.text.splitlines())]

    assert await ids("0") == [("a", 1), ("c", 3)]
    assert await ids("1") == [("c", 3)]
    assert (await client.get("/feedback", params={"after": "-1"})).status_code == 422


async def test_a_correction_names_its_peer_by_apseudonym(client: httpx.AsyncClient) -> None:
    """Neither the address nor the name that the caller gives is stored."""
    await client.post("/feedback", json=CORRECTION)
    (row,) = map(json.loads, (await client.get("/feedback", params={"format": "ndjson"})).text.splitlines())
    assert re.fullmatch("peer-[0-9a-f]{12}", row["caller"])


def test_pseudonyms_can_t_be_computed_from_addresses() -> None:
    """They need a secret; an IPv4 address has one of them, also in IPv6's form."""
    one, two = b"1" * 32, b"2" * 32
    assert pseudonym("192.0.2.1", one) == pseudonym("::ffff:192.0.2.1", one) != pseudonym("192.0.2.2", one)
    assert pseudonym("::ffff:192.0.2.1", one) != pseudonym("::ffff:192.0.2.2", one)
    assert pseudonym("192.0.2.1", one) != pseudonym("192.0.2.1", two)
    assert pseudonym("team", one) == "team"


def test_a_database_without_callers_is_migrated(tmp_path: Path) -> None:
    """What it holds stays, and can be deleted by its text; its callers are unknown."""
    with closing(sqlite3.connect(tmp_path / "feedback.db")) as connection, connection:
        connection.execute(
            "CREATE TABLE correction (place INTEGER PRIMARY KEY AUTOINCREMENT, "
            "id VARCHAR(128) NOT NULL UNIQUE, "
            "text TEXT, language VARCHAR(16), created_at DATETIME NOT NULL, model_version VARCHAR(250), "
            "source VARCHAR(16) NOT NULL, actor VARCHAR(256))"
        )
        connection.execute(
            "INSERT INTO correction (id, text, created_at, source) "
            "VALUES ('a', 'you are kind', '2026-01-02 03:04:05', 'native')"
        )
    store = DatabaseFeedbackStore(f"sqlite:///{tmp_path}/feedback.db")
    ((_, kept),) = store.page(after=0, limit=9)
    assert not store.name_texts(9)
    store.forget(digest_of("you are kind"))
    assert store.page(after=0, limit=9) == []
    store.close()
    assert (kept.id, kept.caller) == ("a", None)


async def test_a_correction_can_be_deleted(client: httpx.AsyncClient) -> None:
    """By its id, once."""
    await client.post("/feedback", json=CORRECTION)
    assert (await client.delete("/feedback/queue-1")).status_code == 204
    assert "kind" not in (await client.get("/feedback")).text
    again = await client.delete("/feedback/queue-1")
    assert (again.status_code, again.json()["error"]["code"]) == (404, "unknown_feedback")


@pytest.mark.parametrize("identity", ["thread/7/comment", "/", "a//b/", "..a", "../..", "x/../y", "a:b@c"])
@pytest.mark.hostile(30)
async def test_a_correction_with_any_id_can_be_deleted(client: httpx.AsyncClient, identity: str) -> None:
    """By its encoded id, with any characters that the moderation tool puts into it."""
    await client.post("/feedback", json=CORRECTION | {"id": identity})
    assert (await client.delete(f"/feedback/{quote(identity, safe='')}")).status_code == 204
    assert (await client.get("/feedback")).text.count("\n") == 1


@pytest.mark.hostile(36)
async def test_a_spreadsheet_runs_nothing(client: httpx.AsyncClient) -> None:
    """Cells that could start a formula get an apostrophe, if the export is for people."""
    await client.post("/feedback", json=CORRECTION | {"id": "@queue-1"})
    answer = await client.get("/feedback", params={"format": "spreadsheet"})
    assert answer.headers["content-disposition"] == 'attachment; filename="feedback.csv"'
    (row,) = csv.DictReader(io.StringIO(answer.text, newline=""))
    assert (row["id"], row["text"], row["insult"]) == ("'@queue-1", "'=you are, kind", "1")


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({}, 422, "labels"),
        ({"labels": {}}, 422, "labels"),
        ({"labels": {"rude": True}}, 422, r"labels\.rude"),
        ({"labels": {"toxic": 1}}, 422, r"labels\.toxic"),
        ({"labels": {"toxic": True}, "consent": True}, 422, "no text"),
        ({"labels": {"toxic": True}, "consent": "yes"}, 422, "consent"),
        ({"labels": {"toxic": True}, "scores": {"toxic": 2}}, 422, "scores"),
        ({"labels": {"toxic": True}, "id": "a b"}, 422, "id"),
        ({"labels": {"toxic": True}, "id": ".."}, 422, "id"),
        ({"labels": {"toxic": True}, "id": "x" * 129}, 422, "id"),
        ({"labels": {"toxic": True}, "language": "english please"}, 422, "language"),
        ({"labels": {"toxic": True}, "source": "elsewhere"}, 422, "source"),
        ({"labels": {"toxic": True}, "text": "x" * 201}, 413, "201 bytes"),
        ({"labels": {"toxic": True}, "extra": 1}, 422, "extra"),
    ],
)
async def test_bad_corrections_say_what_is_wrong(
    client: httpx.AsyncClient, body: Any, status: int, says: str
) -> None:
    """None of them is stored."""
    answer = await client.post("/feedback", json=body)
    assert answer.status_code == status, answer.text
    assert re.search(says, answer.json()["error"]["message"])
    assert (await client.get("/feedback")).text.count("\n") == 1


async def test_a_store_that_is_gone_is_a_503(backend: Backend) -> None:
    """Of every route, before an answer starts."""
    corrections = replace(
        backend.corrections, store=DatabaseFeedbackStore("postgresql://nobody@127.0.0.1:1/none")
    )
    app = create_api(replace(backend, corrections=corrections), DOORS)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        for answer in (
            await client.post("/feedback", json=CORRECTION),
            await client.get("/feedback"),
            await client.delete("/feedback/x"),
        ):
            assert answer.status_code == 503
            assert answer.json()["error"]["code"] == "feedback_unavailable"
            assert answer.headers["retry-after"]
