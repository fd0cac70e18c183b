import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from toxic_inference.corrections.review_queue import WAITING, ReviewQueue
from toxic_inference.corrections.review_store import Candidate, ReviewStore
from toxic_inference.corrections.sampling import ReviewSampler
from toxic_inference.corrections.store import DatabaseFeedbackStore
from toxic_inference.corrections.tables import digest_of
from toxic_inference.events import ReviewDropped, ReviewKept, ReviewReason
from toxic_inference.serving.interfaces import Lane, Target, Terms, Text
from toxic_inference.threads import Threads
from toxic_testing.inference.core import FakeCore
from toxic_testing.inference.fakes import EventLog, ManualClock

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def queue(tmp_path: Path, inline: Executor, clock: ManualClock, log: EventLog) -> Iterator[ReviewQueue]:
    """A queue on a store of its own."""
    store = DatabaseFeedbackStore(f"sqlite:///{tmp_path}/feedback.db")
    yield ReviewQueue(
        ReviewStore(store),
        threads=Threads(inline),
        clock=clock,
        now=lambda: NOW,
        emit=log,
        texts=1_000,
        keep=timedelta(days=1),
    )
    store.close()


def candidate(text: str) -> Candidate:
    """Return a text with one label."""
    return Candidate(text, "en", "1", {"toxic": (0.5, True)}, ReviewReason.UNCERTAIN)


def kept(queue: ReviewQueue) -> list[str]:
    """Return the stored texts."""
    found = queue.store.page(after=None, limit=1_000, reviewer=None, since=queue.since())
    return [item.text for _, item in found]


async def test_texts_are_stored_in_batches(
    queue: ReviewQueue,
    clock: ManualClock,
    log: EventLog,
    turn: Callable[[Callable[[], bool]], Awaitable[None]],
) -> None:
    """At most so many wait, and more are dropped and counted."""
    running = asyncio.create_task(queue.run())
    for number in range(WAITING + 3):
        queue.offer(candidate(f"{number}"))
    assert len(log.of(ReviewDropped)) == 3

    def stored() -> bool:
        clock.advance(1)
        return len(log.of(ReviewKept)) == WAITING

    await turn(stored)
    assert len(kept(queue)) == WAITING
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_a_text_that_waits_can_be_forgotten(queue: ReviewQueue) -> None:
    """Before it was stored."""
    queue.offer(candidate("one"))
    queue.offer(candidate("two"))
    assert await queue.forget(digest_of("one"))
    assert not await queue.forget(digest_of("one"))
    await queue.flush()
    assert kept(queue) == ["two"]


async def test_a_deletion_waits_for_a_batch(queue: ReviewQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it finds a text that was being stored."""
    go, began, add = Event(), asyncio.Event(), queue.store.add
    loop = asyncio.get_running_loop()

    def slow(*arguments: Any, **options: Any) -> list[ReviewReason]:
        loop.call_soon_threadsafe(began.set)
        go.wait(timeout=30)
        return add(*arguments, **options)

    monkeypatch.setattr(queue.store, "add", slow)
    with ThreadPoolExecutor(1) as executor:
        queue.threads = Threads(executor)
        queue.offer(candidate("one"))
        storing = asyncio.create_task(queue.flush())
        await began.wait()
        deletion = asyncio.create_task(queue.forget(digest_of("one")))
        await asyncio.sleep(0.01)
        assert not deletion.done()
        go.set()
        assert not await deletion
        await storing
    queue.store.corrections.forget(digest_of("one"))
    assert kept(queue) == []


async def test_texts_of_an_older_release_get_their_digests_in_steps(
    queue: ReviewQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch by batch, also if the review is off; a text without a digest can be deleted all the same."""
    monkeypatch.setattr("toxic_inference.corrections.review_queue._NAMED", 2)
    queue.texts = 0
    with closing(sqlite3.connect(tmp_path / "feedback.db")) as connection, connection:
        for name, text in (("a", "one"), ("b", None), ("c", "two"), ("d", "three"), ("e", "four")):
            connection.execute(
                "INSERT INTO correction (id, text, created_at, source) VALUES (?, ?, '2026-01-02', 'native')",
                (name, text),
            )

    def digests() -> list[str | None]:
        with closing(sqlite3.connect(tmp_path / "feedback.db")) as connection:
            return [row[0] for row in connection.execute("SELECT digest FROM correction ORDER BY place")]

    await queue.flush()
    assert digests() == [digest_of("one"), None, digest_of("two"), None, None]
    queue.store.corrections.forget(digest_of("three"))
    await queue.flush()
    assert digests() == [digest_of("one"), None, digest_of("two"), digest_of("four")]


async def test_without_texts_nothing_is_taken_and_the_stored_ones_go(queue: ReviewQueue) -> None:
    """Off is off, also for what an earlier setting kept."""
    queue.offer(candidate("one"))
    await queue.flush()
    queue.texts = 0
    queue.offer(candidate("two"))
    await queue.flush()
    assert kept(queue) == []


async def test_a_store_that_is_gone_costs_the_batch_only(queue: ReviewQueue, log: EventLog) -> None:
    """It is dropped and counted; the next one is tried again."""
    queue.store = ReviewStore(DatabaseFeedbackStore("postgresql://nobody@127.0.0.1:1/none"))
    queue.offer(candidate("one"))
    await queue.flush()
    assert len(log.of(ReviewDropped)) == 1


@pytest.mark.parametrize(
    ("store", "drawn", "expected"),
    [(True, 0.0, ["y" * 52]), (False, 0.0, []), (True, 0.9, [])],
    ids=["uncertain", "declined", "not drawn"],
)
async def test_uncertain_texts_are_sampled(store: bool, drawn: float, expected: list[str]) -> None:  # noqa: FBT001  a parameter
    """Those with a score near its threshold, of the drawn ones, if the caller lets them be stored."""
    offered: list[Candidate] = []
    sampler = ReviewSampler(FakeCore(), offer=offered.append, fraction=0.5, draw=lambda: drawn)
    with sampler.session(Target(), Terms(store=store)) as session:
        texts = [Text("y" * length, "en") for length in (20, 52, 80)]
        scores = await session.score(texts, lane=Lane.INTERACTIVE)
        # A sentence of a text isn't sampled.
        await session.score([Text("y" * 52, "en", whole=False)], lane=Lane.INTERACTIVE)
    assert len(scores) == 3
    assert [each.text for each in offered] == expected
    for each in offered:
        assert each.seen["toxic"] == (0.52, True)
        assert each.distance == pytest.approx(0.02)
