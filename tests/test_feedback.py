"""Corrections in a real PostgreSQL."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from toxic_core.labels import Label
from toxic_inference.corrections.record import (
    Feedback,
    FeedbackConflictError,
    FeedbackSource,
    UnknownFeedbackError,
)
from toxic_inference.corrections.review_store import Candidate, Opinion, ReviewStore
from toxic_inference.corrections.store import OVERHEAD_BYTES, DatabaseFeedbackStore
from toxic_inference.corrections.tables import digest_of
from toxic_inference.events import ReviewReason
from toxic_testing.registry.postgres import PostgresServer
from toxic_training.data.feedback_source import SOURCES, read_corrections

pytestmark = pytest.mark.slow

FEEDBACK = Feedback(
    id="1",
    text="you are kind 😀",
    language="en",
    labels={Label.TOXIC: False},
    scores={Label.TOXIC: 0.123456789},
    created_at=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
    model_version="3",
    source=FeedbackSource.PAGE,
    actor=None,
)


def test_training_knows_every_door_for_corrections() -> None:
    """Their names become parts of figures and tags."""
    assert {source.value for source in FeedbackSource} == SOURCES - {"unknown"}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL server without databases of this service."""
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture
def database(server: PostgresServer) -> str:
    """Return the address of an empty database."""
    return server.new_database("feedback")


def test_replicas_share_one_table(database: str) -> None:
    """Started together they make it once; what one keeps, the others know."""
    stores = [DatabaseFeedbackStore(database) for _ in range(4)]
    with ThreadPoolExecutor(len(stores)) as threads:
        created = list(threads.map(lambda store: store.add(FEEDBACK) is not None, stores))
    assert sorted(created) == [False, False, False, True]
    one, other, *_ = stores
    with pytest.raises(FeedbackConflictError):
        one.add(replace(FEEDBACK, labels={Label.TOXIC: True}))
    ((place, found),) = other.page(after=0, limit=9)
    assert found == FEEDBACK
    one.delete("1")
    assert other.page(after=0, limit=9) == []
    other.add(FEEDBACK)
    assert other.page(after=place, limit=9)[0][1] == FEEDBACK
    for store in stores:
        store.close()


def test_an_id_with_nul_is_unknown(server: PostgresServer) -> None:
    """PostgreSQL refuses the character, which no id has: that is no reason to try again later."""
    store = DatabaseFeedbackStore(server.new_database("nul"))
    with pytest.raises(UnknownFeedbackError):
        store.delete("1\0")
    store.close()


def test_space_is_counted_by_caller(server: PostgresServer) -> None:
    """What a change frees is what was stored for each caller, and the rest is what the next start counts."""
    store = DatabaseFeedbackStore(server.new_database("space"))
    size = OVERHEAD_BYTES + len(str(FEEDBACK.text))
    for name, caller in (("1", "a"), ("2", "b"), ("3", None)):
        assert store.add(replace(FEEDBACK, id=name, caller=caller)) == {}
    assert store.sizes() == {"a": size, "b": size, "": size}
    assert store.add(replace(FEEDBACK, id="1", caller="b", text=None), replace=True) == {"a": size}
    assert store.delete("1") == {"b": OVERHEAD_BYTES}
    assert store.forget(digest_of(str(FEEDBACK.text))) == {"b": size, "": size}
    assert store.sizes() == {}
    store.close()


_OLD_TABLE = """
CREATE TABLE feedback (
    place BIGSERIAL PRIMARY KEY, id VARCHAR(128) NOT NULL UNIQUE, text TEXT, language VARCHAR(16),
    label_toxic BOOLEAN, label_severe_toxic BOOLEAN, label_obscene BOOLEAN, label_threat BOOLEAN,
    label_insult BOOLEAN, label_identity_hate BOOLEAN,
    score_toxic FLOAT, score_severe_toxic FLOAT, score_obscene FLOAT, score_threat FLOAT,
    score_insult FLOAT, score_identity_hate FLOAT,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL, model_version VARCHAR(250), source VARCHAR(16) NOT NULL,
    actor VARCHAR(256)
);
INSERT INTO feedback (place, id, text, language, label_toxic, score_toxic, created_at, model_version, source)
VALUES (4, '2', 'you are kind 😀', 'en', false, 0.123456789, '2026-01-02 03:04:05.000678+00', '3', 'page'),
       (2, '1', 'you are kind 😀', 'en', false, 0.123456789, '2026-01-02 03:04:05.000678+00', '3', 'page');
"""


def test_replicas_migrate_an_old_table_once(server: PostgresServer) -> None:
    """Replicas that start together on a database of the older layout find every correction, in order."""
    database = server.new_database("older")
    with psycopg.connect(database) as connection:
        connection.execute(_OLD_TABLE)
    stores = [DatabaseFeedbackStore(database) for _ in range(3)]
    with ThreadPoolExecutor(len(stores)) as threads:
        pages = list(threads.map(lambda store: store.page(after=0, limit=9), stores))
    assert [[feedback for _, feedback in page] for page in pages] == [
        [FEEDBACK, replace(FEEDBACK, id="2")]
    ] * len(stores)
    stores[0].add(replace(FEEDBACK, id="3", labels={"spam": True}))
    assert [feedback.id for _, feedback in stores[1].page(after=0, limit=9)] == ["1", "2", "3"]
    assert stores[1].labels() == {"toxic", "spam"}
    for store in stores:
        store.close()


def test_two_replicas_review_one_text(server: PostgresServer) -> None:
    """Opinions that arrive together are both counted; a text is kept once, and forgotten everywhere."""
    database = server.new_database("review")
    stores = [DatabaseFeedbackStore(database) for _ in range(2)]
    reviews = [ReviewStore(store) for store in stores]
    candidate = Candidate("you are kind", "en", "3", {"toxic": (0.5, True)}, ReviewReason.UNCERTAIN)
    now = FEEDBACK.created_at
    since = now - timedelta(days=1)
    kept = [review.add([candidate], now=now, since=since, most=9) for review in reviews]
    assert kept == [[ReviewReason.UNCERTAIN], []]
    digest = digest_of(candidate.text)

    def judge(number: int) -> int:
        opinion = Opinion(f"{number}", f"{number}", {"toxic": False})
        return len(reviews[number].judge(digest, opinion, now=now, since=since).opinions)

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(judge, range(2))) == [1, 2]
    assert reviews[0].agreement()["toxic"].agreed == 1.0
    ((place, _),) = reviews[0].page(after=None, limit=9, reviewer=None, since=since)
    assert reviews[0].page(after=place, limit=9, reviewer=None, since=since) == []
    stores[0].add(replace(FEEDBACK, text=candidate.text))
    stores[1].forget(digest)
    assert stores[0].page(after=0, limit=9) == []
    reviews[0].add([candidate], now=now, since=since, most=0)
    assert reviews[0].page(after=None, limit=9, reviewer=None, since=since) == []
    for store in stores:
        store.close()


def test_training_reads_the_database_itself(server: PostgresServer, tmp_path: Path) -> None:
    """Every correction with its caller, from PostgreSQL and from a file, without those that were deleted."""
    for database in (server.new_database("training"), f"sqlite:///{tmp_path}/feedback.db"):
        store = DatabaseFeedbackStore(database)
        for name in ("1", "2", "3"):
            store.add(replace(FEEDBACK, id=name, caller="team"))
        store.delete("2")
        store.close()
        found = list(read_corrections(database))
        assert [(each.id, each.actor, each.labels) for each in found] == [
            ("1", "team", {"toxic": False}),
            ("3", "team", {"toxic": False}),
        ]
        assert {each.text for each in found} == {FEEDBACK.text}
