"""Admission to the queue alone, without a scheduler."""

import asyncio
from collections import Counter
from functools import partial

import pytest

from toxic_inference.serving.batching.admission import Admission, BatchLimits
from toxic_inference.serving.batching.calls import Call
from toxic_inference.serving.batching.pace import Pace, RunningBatch
from toxic_inference.serving.batching.row_queue import RowQueue
from toxic_inference.serving.interfaces import Lane
from toxic_testing.inference.batches import row
from toxic_testing.inference.fakes import ManualClock

pytestmark = pytest.mark.anyio

LIMITS = BatchLimits(token_budget=64, queue_rows=4, queue_seconds=5.0)


class Door:
    """A queue, what is known of its pace, and admission to it."""

    def __init__(self, clock: ManualClock) -> None:
        self.queue = RowQueue()
        self.pace = Pace(token_budget=LIMITS.token_budget)
        self.admission = Admission(LIMITS, queue=self.queue, pace=self.pace, clock=clock)

    def wait(self, *lengths: int, lane: Lane = Lane.INTERACTIVE, caller: str = "") -> Call:
        """Let a call's rows of these lengths wait."""
        future = asyncio.get_running_loop().create_future()
        call = Call(
            future,
            [row(*range(length)) for length in lengths],
            lane,
            submitted=0.0,
            batch_tokens=64,
            caller=caller,
        )
        self.queue.add(call)
        return call

    def learn(self, *, tokens: int, seconds: float) -> None:
        """Let a batch have taken so long."""
        batch = RunningBatch(tokens, 1.0, since=0.0)
        self.pace.started(batch)
        self.pace.ended(batch, seconds=seconds)


@pytest.fixture
def door(clock: ManualClock) -> Door:
    """An empty queue of at most four rows."""
    return Door(clock)


async def test_an_empty_queue_takes_anything(door: Door) -> None:
    """However slow the model is, and however many rows there are."""
    door.learn(tokens=10, seconds=100.0)
    assert door.admission.overload(1_000, ahead_rows=0, ahead_tokens=0) is None


async def test_too_many_rows_are_refused(door: Door) -> None:
    """Three wait and one fits; two don't."""
    door.wait(1, 1, 1)
    assert door.admission.overload(1, ahead_rows=0, ahead_tokens=0) is None
    assert door.admission.overload(2, ahead_rows=0, ahead_tokens=0) is not None


async def test_the_expected_wait_counts_what_was_prefetched(door: Door) -> None:
    """Ten tokens per second: forty waiting and twenty ahead are six seconds, which is too long."""
    door.learn(tokens=10, seconds=1.0)
    door.wait(40)
    assert door.admission.overload(1, ahead_rows=0, ahead_tokens=0) is None
    error = door.admission.overload(1, ahead_rows=2, ahead_tokens=20)
    assert error is not None
    assert error.retry_after_seconds == pytest.approx(6.0)
    assert str(error).startswith("3 rows are waiting")


async def test_bulk_waits_for_room_until_the_queue_shrinks(door: Door) -> None:
    """Interactive rows don't count; when bulk rows leave, the next sender continues."""
    full = door.wait(1, 1, 1, 1, lane=Lane.BULK)
    waiting = asyncio.ensure_future(door.admission.wait_for_room(1))
    await asyncio.sleep(0)
    door.admission.queue_shrank()
    await asyncio.sleep(0)
    assert not waiting.done(), "nothing left yet"
    door.queue.drop(full)
    door.admission.queue_shrank()
    await waiting


async def test_closing_ends_every_wait(door: Door) -> None:
    """A sender of bulk rows must not wait for a version that is unloaded."""
    door.wait(1, 1, 1, 1, lane=Lane.BULK)
    waiting = asyncio.ensure_future(door.admission.wait_for_room(1))
    await asyncio.sleep(0)
    door.admission.close()
    await waiting
    assert door.admission.closed


@pytest.mark.hostile(6)
async def test_a_caller_waits_for_its_share_only(door: Door) -> None:
    """Another caller's thousand tokens are one batch for it; its own count in full."""
    door.learn(tokens=10, seconds=1.0)
    door.wait(1_000, caller="loud")
    ask = partial(door.admission.overload, 1, ahead_rows=0, ahead_tokens=0)
    loud, quiet = ask(caller="loud"), ask(caller="quiet")
    assert loud is not None
    assert quiet is not None
    assert (loud.retry_after_seconds, quiet.retry_after_seconds) == pytest.approx((100.0, 6.4))


async def test_a_full_queue_has_room_for_a_caller_s_share(door: Door) -> None:
    """Half of the queue is left to the second caller; bulk rows of a newcomer never wait."""
    for lane in Lane:
        door.wait(1, 1, 1, 1, lane=lane, caller="loud")
    ask = partial(door.admission.overload, ahead_rows=0, ahead_tokens=0)
    assert ask(1, caller="loud") is not None
    assert ask(2, caller="quiet") is None
    assert ask(3, caller="quiet") is not None
    await asyncio.wait_for(door.admission.wait_for_room(9, caller="quiet"), 10)


@pytest.mark.hostile(6)
async def test_callers_take_turns(door: Door) -> None:
    """However much one caller has sent, the other's row is in the next batch but one."""
    door.wait(*[40] * 300, caller="loud")
    quiet = door.wait(3, caller="quiet")
    first, second = (door.queue.take(budget=64) for _ in range(2))
    assert quiet in {entry.call for entry in (*first, *second)}
    later = door.wait(3, 3, 3, caller="quiet")
    taken = [entry.call for _ in range(2) for entry in door.queue.take(budget=64)]
    assert taken.count(later) == 3


@pytest.mark.hostile(6)
async def test_tokens_are_shared_and_not_rows(door: Door) -> None:
    """A caller of long rows and one of short rows have equal parts of the model."""
    door.wait(*[60] * 100, caller="long")
    door.wait(*[20] * 300, caller="short")
    tokens = Counter[str]()
    for _ in range(60):
        for entry in door.queue.take(budget=64):
            tokens[entry.call.caller] += entry.tokens
    assert abs(tokens["long"] - tokens["short"]) <= 64
