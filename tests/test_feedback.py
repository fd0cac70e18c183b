"""Corrections in a real PostgreSQL."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from toxic_core.labels import Label
from toxic_inference.adapters.feedback_store import DatabaseFeedbackStore
from toxic_inference.corrections.record import Feedback, FeedbackConflictError, FeedbackSource
from toxic_testing.registry.postgres import PostgresServer

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


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """An empty database."""
    server = PostgresServer()
    yield server.new_database("feedback")
    server.stop()


def test_replicas_share_one_table(database: str) -> None:
    """Started together they make it once; what one keeps, the others know."""
    stores = [DatabaseFeedbackStore(database) for _ in range(4)]
    with ThreadPoolExecutor(len(stores)) as threads:
        created = list(threads.map(lambda store: store.add(FEEDBACK), stores))
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
