"""Two batches at once, and one that is next."""

import asyncio
from dataclasses import replace

import pytest

from toxic_core.errors import NoVersionReadyError
from toxic_inference.serving.batching.executables import Executables
from toxic_inference.serving.batching.scheduler import BatchScheduler, SchedulerResources
from toxic_inference.serving.batching.slots import Slots
from toxic_inference.serving.errors import DeadlineExceededError
from toxic_model.errors import InvalidTensorError
from toxic_testing.inference.batches import SummingModel, Turn, make_scheduler, row, run_batches, submit
from toxic_testing.inference.fakes import EventLog, HeldExecutor, ManualClock

pytestmark = pytest.mark.anyio


@pytest.fixture
def model(clock: ManualClock) -> SummingModel:
    """A model that keeps its batches, and computes them side by side."""
    return SummingModel(clock, streams=2)


@pytest.fixture
def executor() -> HeldExecutor:
    """Worker threads that the test drives."""
    return HeldExecutor()


@pytest.fixture
def two_slots(scheduling: SchedulerResources, executor: HeldExecutor) -> SchedulerResources:
    """What a scheduler needs on a machine that computes two batches at once."""
    return replace(scheduling, executor=executor, slots=Slots(2))


async def test_a_lone_batch_has_the_whole_machine_and_a_crowd_shares_it(
    model: SummingModel, executor: HeldExecutor, two_slots: SchedulerResources, turn: Turn
) -> None:
    """While one is alone the others gather; then two run at once, and the next begins when either ends."""
    scheduler = make_scheduler(model, two_slots)
    lone = submit(scheduler, row(1))
    await turn(lambda: len(executor.held) == 1)
    crowd = [submit(scheduler, row(*range(20, 20 + length))) for length in (4, 8, 16, 32)]
    await asyncio.sleep(0)
    assert len(executor.held) == 1
    executor.release()
    await turn(lambda: len(executor.held) == 3)  # two run, and the longest is next
    executor.release()
    await turn(lambda: sum(call.done() for call in crowd) == 2)  # the two shortest ran together
    await run_batches(executor, turn, until=lambda: all(call.done() for call in crowd))
    assert (await lone)[0, 0] == 1
    assert model.alone == [True, False, False, False]
    assert all(rows * length <= 32 for rows, length in model.shapes), "half of the machine, half of a budget"
    await scheduler.close()


async def test_the_rows_of_a_lone_call_are_divided_evenly(
    model: SummingModel, executor: HeldExecutor, two_slots: SchedulerResources, turn: Turn
) -> None:
    """Windows of a long text: three full batches would leave half of the machine idle during the third."""
    scheduler = make_scheduler(model, two_slots)
    call = submit(scheduler, *(row(*[1] * 8) for _ in range(12)))
    await run_batches(executor, turn, until=call.done)
    assert model.shapes == [(3, 8)] * 4
    await scheduler.close()


async def test_rows_of_others_fill_batches_as_ever(
    model: SummingModel, executor: HeldExecutor, two_slots: SchedulerResources, turn: Turn
) -> None:
    """A crowd needs the largest batches, since no part of the machine is idle."""
    scheduler = make_scheduler(model, two_slots)
    calls = [submit(scheduler, *(row(*[1] * 8) for _ in range(rows))) for rows in (12, 4)]
    await run_batches(executor, turn, until=lambda: all(call.done() for call in calls))
    assert model.shapes[0] == (4, 8)
    await scheduler.close()


@pytest.fixture
async def crowded(
    model: SummingModel, executor: HeldExecutor, two_slots: SchedulerResources, turn: Turn
) -> BatchScheduler:
    """A scheduler with a batch in each of two slots, and nothing that waits."""
    scheduler = make_scheduler(model, two_slots)
    submit(scheduler, row(*[1] * 32)), submit(scheduler, row(*[2] * 32))
    await turn(lambda: len(executor.held) == 2)
    return scheduler


async def test_a_batch_is_handed_over_ahead_once_enough_wait_for_it(
    crowded: BatchScheduler, executor: HeldExecutor, turn: Turn, log: EventLog
) -> None:
    """A worker finds its next batch there, and the one after it is handed over in turn."""
    waiting = [submit(crowded, row(*[length] * length)) for length in (15, 16, 17, 30)]
    await turn(lambda: len(executor.held) == 3)
    assert log.queue_rows == 2, "the rows of one batch, two of four, are out of the queue"
    executor.release()
    await turn(lambda: len(executor.held) == 3)
    assert log.queue_rows == 1
    await run_batches(executor, turn, until=lambda: all(call.done() for call in waiting))
    assert [(await call)[0, 0] for call in waiting] == [length**2 for length in (15, 16, 17, 30)]
    await crowded.close()
    assert crowded.idle


async def test_few_rows_gather_instead(
    crowded: BatchScheduler, executor: HeldExecutor, log: EventLog, turn: Turn
) -> None:
    """Less than half a batch waits for a slot, and for others to join it."""
    few = [submit(crowded, row(*[3] * length)) for length in (7, 8)]
    await turn(lambda: log.queue_rows == 2)
    assert len(executor.held) == 2
    await run_batches(executor, turn, until=lambda: all(call.done() for call in few))
    await crowded.close()


async def test_nothing_is_handed_over_ahead_of_a_deadline_or_another_version(
    crowded: BatchScheduler,
    executor: HeldExecutor,
    turn: Turn,
    two_slots: SchedulerResources,
    clock: ManualClock,
) -> None:
    """What has a deadline isn't computed after it; and another version's turn comes as it asked."""
    timed = submit(crowded, row(*[3] * 30), deadline=clock.now() + 1)
    other = make_scheduler(SummingModel(clock), two_slots)
    theirs = submit(other, row(4))
    await turn(lambda: not other.idle)
    await asyncio.sleep(0)
    assert len(executor.held) == 2
    clock.advance(2)
    executor.release()
    with pytest.raises(DeadlineExceededError):
        await timed
    ours = submit(crowded, row(*[5] * 30))
    await asyncio.sleep(0)
    assert len(executor.held) == 1
    await run_batches(executor, turn, until=lambda: ours.done() and theirs.done())
    for scheduler in (crowded, other):
        await scheduler.close()


async def test_a_failing_batch_before_one_handed_over_ahead_costs_nobody_else(
    crowded: BatchScheduler, executor: HeldExecutor, turn: Turn
) -> None:
    """Its callers are computed apart after the batch that a worker had already taken."""
    first, refused, beside = (submit(crowded, row(*ids)) for ids in ([3] * 30, [13] * 8, [4] * 8))
    await turn(lambda: len(executor.held) == 3)
    behind = [submit(crowded, row(*[5] * 30)) for _ in range(8)]
    await run_batches(executor, turn, until=lambda: refused.done() and beside.done())
    assert not all(call.done() for call in behind), "nor are they passed by all who come later"
    await run_batches(executor, turn, until=lambda: all(call.done() for call in behind))
    assert [(await call)[0, 0] for call in (first, beside, *behind)] == [90, 32, *[150] * 8]
    with pytest.raises(InvalidTensorError):
        await refused
    await crowded.close()


async def test_closing_answers_what_was_handed_over_ahead(
    crowded: BatchScheduler, executor: HeldExecutor, turn: Turn
) -> None:
    """A worker has it already."""
    ahead, waiting = submit(crowded, row(*[3] * 30)), submit(crowded, row(*[4] * 30))
    await turn(lambda: len(executor.held) == 3)
    closing = asyncio.ensure_future(crowded.close())
    await run_batches(executor, turn, until=closing.done)
    assert (await ahead)[0, 0] == 90
    with pytest.raises(NoVersionReadyError, match="unloaded"):
        await waiting


async def test_two_versions_never_have_more_than_the_machine(
    model: SummingModel, executor: HeldExecutor, two_slots: SchedulerResources, turn: Turn, clock: ManualClock
) -> None:
    """One whose runtime knows no sharing waits until the other's batches are done, and keeps others out."""
    exclusive = SummingModel(clock)
    sharing, whole = (make_scheduler(each, two_slots) for each in (model, exclusive))
    first = submit(sharing, row(1))
    await turn(lambda: len(executor.held) == 1)
    second = submit(whole, row(2))
    third = submit(sharing, row(3))
    for call, later in ((first, 2), (second, 1), (third, 0)):
        await turn(lambda: len(executor.held) == 1)
        executor.release()
        await call
        assert sum(not each.done() for each in (second, third)) == later
    assert model.alone == [True, True]
    assert exclusive.alone == [True]
    for scheduler in (sharing, whole):
        await scheduler.close()


async def test_a_refusal_counts_what_was_handed_over_ahead(
    crowded: BatchScheduler, executor: HeldExecutor, turn: Turn, model: SummingModel
) -> None:
    """It waits like what stands in the queue."""
    model.seconds = 10
    executor.release()
    await asyncio.sleep(0)
    submit(crowded, row(*[3] * 30))
    await turn(lambda: len(executor.held) == 2)
    submit(crowded, row(*[4] * 30))
    await turn(lambda: len(executor.held) == 3)
    error = crowded.overload(1)
    assert error is not None
    assert str(error).startswith("1 rows are waiting, which takes about 9.4 s")
    await run_batches(executor, turn, until=lambda: crowded.idle)


async def test_the_shapes_of_a_version_are_compiled_while_no_other_computes(
    crowded: BatchScheduler,
    executor: HeldExecutor,
    turn: Turn,
    two_slots: SchedulerResources,
    clock: ManualClock,
) -> None:
    """A warm-up takes all slots, so it would stop the batches of the version that is busy."""
    theirs = SummingModel(clock)
    executables = Executables(theirs.whole, [], pad_id=0, clock=clock, shapes=8)
    other = BatchScheduler(executables, version="2", resources=two_slots)
    other.warm(longest=8)
    await asyncio.sleep(0)
    assert two_slots.slots.waiting == 0
    await run_batches(executor, turn, until=lambda: crowded.idle)
    assert theirs.shapes == []
    clock.advance(1)
    await turn(lambda: len(executor.held) == 1)
    closing = asyncio.ensure_future(other.close())
    await run_batches(executor, turn, until=closing.done)
    assert len(theirs.shapes) == 1
    await crowded.close()
