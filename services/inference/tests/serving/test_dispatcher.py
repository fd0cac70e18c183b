"""The dispatcher alone: turns, the prefetch, retries; its rows come from a list."""

import asyncio

import pytest

from toxic_inference.serving.batching.calls import Call, Entry
from toxic_inference.serving.batching.dispatcher import Batch, Dispatcher, Feed
from toxic_inference.serving.batching.pace import Pace
from toxic_inference.serving.batching.slots import Slots
from toxic_inference.serving.interfaces import Lane
from toxic_model.errors import InvalidTensorError
from toxic_model.loaded import Float32Array
from toxic_testing.inference.batches import REFUSED_ID, SummingModel, Turn, row, run_batches
from toxic_testing.inference.fakes import HeldExecutor, ManualClock

pytestmark = pytest.mark.anyio


class Stand:
    """A dispatcher whose batches a test lists, and what became of them."""

    def __init__(self, model: SummingModel, slots: Slots, clock: ManualClock) -> None:
        self.executor = HeldExecutor()
        self.batches: list[list[Entry]] = []
        self.answered: list[list[float]] = []
        self.failed: list[tuple[Call, BaseException]] = []
        self.prefetch = False
        self.dispatcher = Dispatcher(
            model.executables,
            Feed(
                waiting=lambda: sum(len(entries) for entries in self.batches),
                enough=lambda: self.prefetch and bool(self.batches),
                take=lambda: self.batches.pop(0) if self.batches else [],
                answer=self.answer,
                fail=lambda call, error: self.failed.append((call, error)),
            ),
            slots=slots,
            executor=self.executor,
            pace=Pace(token_budget=64),
            clock=clock,
        )

    def add(self, *ids: int) -> list[Entry]:
        """Let a batch wait: a call of one row per id."""
        loop = asyncio.get_running_loop()
        calls = [
            Call(loop.create_future(), [row(each)], Lane.INTERACTIVE, submitted=0.0, batch_tokens=64)
            for each in ids
        ]
        self.batches.append([Entry(key, call, 0, 1) for key, call in enumerate(calls)])
        self.dispatcher.rows_arrived()
        return self.batches[-1]

    def answer(self, _batch: Batch, scores: Float32Array, _seconds: float) -> None:
        """Keep a batch's scores."""
        self.answered.append(scores[:, 0].tolist())

    async def finish(self, turn: Turn) -> None:
        """Let everything run."""
        await asyncio.sleep(0)
        await run_batches(self.executor, turn, until=lambda: not self.batches and not self.dispatcher.running)


async def test_it_asks_once_for_all_that_arrives_together(clock: ManualClock, turn: Turn) -> None:
    """Rows that arrive before the next callback join the batch, and ask for one turn."""
    slots = Slots(1)
    stand = Stand(SummingModel(clock), slots, clock)
    stand.add(1, 2)
    stand.dispatcher.rows_arrived()
    assert not stand.executor.held
    await turn(lambda: len(stand.executor.held) == 1)
    assert slots.waiting == 0
    await stand.finish(turn)
    assert stand.answered == [[1, 2]]


async def test_a_batch_that_nothing_waits_beside_has_every_slot(clock: ManualClock, turn: Turn) -> None:
    """The first batch runs alone; while it does, the next one waits for a slot."""
    model = SummingModel(clock, streams=2)
    stand = Stand(model, Slots(2), clock)
    stand.add(1)
    await turn(lambda: len(stand.executor.held) == 1)
    stand.add(2)
    stand.add(3)
    await asyncio.sleep(0)
    assert len(stand.executor.held) == 1
    await stand.finish(turn)
    assert model.alone == [True, False, False]


async def test_at_most_one_batch_is_prefetched(clock: ManualClock, turn: Turn) -> None:
    """With both slots busy and rows enough, one batch is handed over before its turn, and no second."""
    stand = Stand(SummingModel(clock, streams=2), Slots(2), clock)
    for number in range(1, 5):
        stand.add(number)
    stand.prefetch = True
    await turn(lambda: len(stand.executor.held) == 3)
    assert stand.dispatcher.prefetched is not None
    assert len(stand.batches) == 1
    await stand.finish(turn)
    assert sorted(stand.answered) == [[1], [2], [3], [4]]
    assert stand.dispatcher.prefetched is None


async def test_nothing_is_prefetched_past_another_model_s_request(clock: ManualClock, turn: Turn) -> None:
    """Another dispatcher that waits for slots has a claim on the next turn."""
    slots = Slots(2)
    stand, other = (Stand(SummingModel(clock, streams=streams), slots, clock) for streams in (2, 0))
    stand.add(1), stand.add(2)
    await turn(lambda: len(stand.executor.held) == 2)
    other.add(9)
    await turn(lambda: slots.waiting == 1)
    stand.prefetch = True
    stand.add(3)
    await asyncio.sleep(0)
    assert stand.dispatcher.prefetched is None
    while stand.executor.held:
        stand.executor.release()
    await turn(lambda: len(other.executor.held) == 1)
    await other.finish(turn)
    await stand.finish(turn)
    assert other.answered == [[9]]


async def test_a_failed_batch_is_computed_again_per_caller(clock: ManualClock, turn: Turn) -> None:
    """The caller whose row the model refuses fails; the others are answered, in the same turn."""
    stand = Stand(SummingModel(clock), Slots(1), clock)
    refused, *_ = stand.add(REFUSED_ID, 2, 3)
    await stand.finish(turn)
    assert stand.answered == [[2], [3]]
    ((call, error),) = stand.failed
    assert call is refused.call
    assert isinstance(error, InvalidTensorError)


async def test_a_turn_without_rows_is_passed_on(clock: ManualClock, turn: Turn) -> None:
    """Rows may expire or leave before their turn comes."""
    slots = Slots(1)
    stand, other = (Stand(SummingModel(clock), slots, clock) for _ in range(2))
    stand.add(1)
    await turn(lambda: len(stand.executor.held) == 1)
    gone, patient = Stand(SummingModel(clock), slots, clock), other
    gone.add(2)
    await asyncio.sleep(0)
    patient.add(3)
    await asyncio.sleep(0)
    gone.batches.clear()
    stand.executor.release()
    await turn(lambda: len(patient.executor.held) == 1)
    assert not gone.executor.held
    await patient.finish(turn)
    await gone.dispatcher.drained()
    assert patient.answered == [[3]]
