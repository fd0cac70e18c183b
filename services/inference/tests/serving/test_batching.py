import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import pytest

from toxic_core.errors import NoVersionReadyError, OverloadedError
from toxic_inference.events import BatchRan, RowsDeparted, RowsExpired, RowsRefused
from toxic_inference.serving.batching.scheduler import BatchScheduler, SchedulerResources
from toxic_inference.serving.errors import DeadlineExceededError, InferenceError
from toxic_inference.serving.interfaces import Lane
from toxic_model.errors import InvalidTensorError
from toxic_testing.inference.batches import SummingModel, Turn, row, run_batches, submit
from toxic_testing.inference.fakes import EventLog, HeldExecutor, ManualClock

pytestmark = pytest.mark.anyio


@pytest.fixture
def model(clock: ManualClock) -> SummingModel:
    """A model that keeps its batches."""
    return SummingModel(clock)


@pytest.fixture
def executor() -> HeldExecutor:
    """A worker thread that the test drives."""
    return HeldExecutor()


@pytest.fixture
async def scheduler(
    model: SummingModel, executor: HeldExecutor, scheduling: SchedulerResources
) -> AsyncIterator[BatchScheduler]:
    """A running scheduler whose batches run when the test says so."""
    scheduler = BatchScheduler(
        model.executables, version="1", resources=replace(scheduling, executor=executor)
    )
    yield scheduler
    closing = asyncio.ensure_future(scheduler.close())
    while not closing.done():
        while executor.held:
            executor.release()
        await asyncio.sleep(0)


async def test_a_departed_caller_never_delays_its_batch_mates(
    scheduler: BatchScheduler, executor: HeldExecutor, turn: Turn, log: EventLog
) -> None:
    """Callers who leave, waiting or in the running batch, take nothing from those who stay."""
    first = submit(scheduler, row(1))
    await turn(lambda: len(executor.held) == 1)
    leaving, staying = submit(scheduler, row(2)), submit(scheduler, row(3))
    await turn(lambda: log.queue_rows == 2)
    leaving.cancel()
    first.cancel()
    await turn(lambda: log.queue_rows == 1)
    executor.release()
    await turn(lambda: len(executor.held) == 1)
    executor.release()
    assert (await staying)[0, 0] == 3
    assert leaving.cancelled()
    assert first.cancelled()
    assert log.total(RowsDeparted, "rows") == 1


async def test_an_idle_scheduler_runs_at_once(
    scheduler: BatchScheduler, executor: HeldExecutor, turn: Turn
) -> None:
    """A lone row doesn't wait for company: the clock never moves in this test."""
    call = submit(scheduler, row(1, 2))
    await turn(lambda: len(executor.held) == 1)
    executor.release()
    np.testing.assert_array_equal(await call, np.full((1, 6), 3, dtype=np.float32))


async def test_rows_gather_while_a_batch_runs(
    scheduler: BatchScheduler, executor: HeldExecutor, model: SummingModel, turn: Turn
) -> None:
    """What arrives during a batch runs together in the next, and each caller gets its own rows in order."""
    first = submit(scheduler, row(1))
    await turn(lambda: len(executor.held) == 1)
    second, third = submit(scheduler, row(2), row(3, 3)), submit(scheduler, row(4))
    executor.release()
    await first
    await turn(lambda: len(executor.held) == 1)
    executor.release()
    assert (await second)[:, 0].tolist() == [2, 6]
    assert (await third)[:, 0].tolist() == [4]
    assert model.shapes == [(1, 1), (3, 2)]


async def test_the_next_batch_is_handed_over_before_anybody_is_answered(
    scheduler: BatchScheduler, executor: HeldExecutor, turn: Turn
) -> None:
    """In the callback that hears of the end: the worker doesn't wait for other work of the event loop."""
    first = submit(scheduler, row(1))
    await turn(lambda: len(executor.held) == 1)
    second = submit(scheduler, row(2))
    await asyncio.sleep(0)
    executor.release()
    await asyncio.sleep(0)
    assert len(executor.held) == 1
    assert not first.done()
    executor.release()
    assert [(await call)[0, 0] for call in (first, second)] == [1, 2]


async def test_batches_keep_to_the_token_budget(
    scheduler: BatchScheduler, executor: HeldExecutor, model: SummingModel, turn: Turn
) -> None:
    """Rows times length, padding included, stays within the budget of 64."""
    call = submit(scheduler, *(row(*range(20, 40)) for _ in range(7)))
    for _ in range(3):
        await turn(lambda: len(executor.held) == 1)
        executor.release()
    await call
    assert model.shapes == [(3, 20), (3, 20), (1, 20)]


async def test_masks_are_honoured(
    scheduler: BatchScheduler, executor: HeldExecutor, model: SummingModel, turn: Turn
) -> None:
    """A caller's mask reaches the model, and padding is masked with zeros."""
    call = submit(scheduler, row(1, 2, 3, mask=[1, 0, 1]), row(5))
    await turn(lambda: len(executor.held) == 1)
    executor.release()
    assert (await call)[:, 0].tolist() == [4, 5]
    np.testing.assert_array_equal(model.batches[0].attention_mask, [[1, 0, 0], [1, 0, 1]])


async def learn_pace(
    scheduler: BatchScheduler, executor: HeldExecutor, turn: Turn, model: SummingModel, *, seconds: float
) -> None:
    """Run a batch of ten tokens that takes so long."""
    call = submit(scheduler, row(*range(20, 30)))
    await turn(lambda: len(executor.held) == 1)
    model.seconds = seconds
    executor.release()
    model.seconds = 0.0
    await call


async def test_a_full_queue_refuses_at_once(
    scheduler: BatchScheduler, executor: HeldExecutor, turn: Turn, log: EventLog, model: SummingModel
) -> None:
    """The sixteen rows that may wait are kept; the next is told how long these take, as measured."""
    await learn_pace(scheduler, executor, turn, model, seconds=1.0)
    running = submit(scheduler, row(*range(20, 30)))
    await turn(lambda: len(executor.held) == 1)
    waiting = submit(scheduler, *(row(2) for _ in range(16)))
    await turn(lambda: log.queue_rows == 16)
    with pytest.raises(OverloadedError) as refusal:
        await scheduler.submit([row(3)], lane=Lane.INTERACTIVE)
    assert refusal.value.retry_after_seconds == pytest.approx(1.0 + 1.6)
    assert log.total(RowsRefused, "rows") == 1
    await run_batches(executor, turn, until=waiting.done)
    assert len(await waiting) == 16
    await running


async def test_a_wait_that_would_be_too_long_is_refused_at_once(
    scheduler: BatchScheduler,
    executor: HeldExecutor,
    turn: Turn,
    log: EventLog,
    clock: ManualClock,
    model: SummingModel,
) -> None:
    """Few rows of a slow model are as full a queue as many of a fast one; an empty queue refuses nothing."""
    await learn_pace(scheduler, executor, turn, model, seconds=4.0)
    running = submit(scheduler, row(*range(20, 30)))
    await turn(lambda: len(executor.held) == 1)
    first = submit(scheduler, row(*range(20, 30)))
    await turn(lambda: log.queue_rows == 1)
    with pytest.raises(OverloadedError) as refusal:
        await scheduler.submit([row(3)], lane=Lane.INTERACTIVE)
    assert refusal.value.retry_after_seconds == pytest.approx(8.0)
    clock.advance(3.5)
    admitted = submit(scheduler, row(3))
    await turn(lambda: log.queue_rows == 2)
    await run_batches(executor, turn, until=admitted.done)
    await asyncio.gather(running, first, admitted)


async def test_a_busy_event_loop_is_no_slow_model(
    scheduler: BatchScheduler, executor: HeldExecutor, turn: Turn, log: EventLog, clock: ManualClock
) -> None:
    """A batch that was done long before the loop came to it took no longer for that."""
    call = submit(scheduler, row(*range(20, 30)))
    await turn(lambda: len(executor.held) == 1)
    executor.release()
    clock.advance(60.0)
    await call
    running = submit(scheduler, row(*range(20, 30)))
    await turn(lambda: len(executor.held) == 1)
    waiting = submit(scheduler, row(2), row(3))
    await turn(lambda: log.queue_rows == 2)
    scheduler.check_room(1)
    await run_batches(executor, turn, until=waiting.done)
    await asyncio.gather(running, waiting)


async def test_a_row_whose_deadline_passed_is_never_computed(
    scheduler: BatchScheduler,
    executor: HeldExecutor,
    model: SummingModel,
    turn: Turn,
    clock: ManualClock,
    log: EventLog,
) -> None:
    """It fails with its own error and is counted; those it waited with are answered without it."""
    running = submit(scheduler, row(1))
    await turn(lambda: len(executor.held) == 1)
    soon = clock.now() + 1.0
    late = submit(scheduler, row(2), row(3), deadline=soon)
    in_time = submit(scheduler, row(4), deadline=soon + 1.0)
    patient = submit(scheduler, row(5))
    await turn(lambda: log.queue_rows == 4)
    clock.advance(1.0)
    await run_batches(executor, turn, until=patient.done)
    with pytest.raises(DeadlineExceededError):
        await late
    assert (await in_time)[0, 0] == 4
    assert (await patient)[0, 0] == 5
    await running
    assert log.total(RowsExpired, "rows") == 2
    assert log.total(RowsDeparted, "rows") == 0
    assert log.queue_rows == 0
    computed = np.concatenate([batch.input_ids.ravel() for batch in model.batches])
    assert not np.isin(computed, (2, 3)).any()


async def test_a_batch_that_began_in_time_is_answered(
    scheduler: BatchScheduler, executor: HeldExecutor, turn: Turn, clock: ManualClock
) -> None:
    """What is computed already is worth more than an error."""
    call = submit(scheduler, row(1), deadline=clock.now() + 1.0)
    await turn(lambda: len(executor.held) == 1)
    clock.advance(5.0)
    executor.release()
    assert (await call)[0, 0] == 1


@pytest.mark.parametrize("lane", list(Lane))
async def test_neither_lane_starves(
    scheduler: BatchScheduler, executor: HeldExecutor, model: SummingModel, turn: Turn, lane: Lane
) -> None:
    """In a flood of the other lane, an interactive row waits for one batch, and a bulk row for nine."""
    (other,) = set(Lane) - {lane}
    flood = [submit(scheduler, row(1), lane=other)]
    await turn(lambda: len(executor.held) == 1)
    flood.append(submit(scheduler, row(1), lane=other))
    alone = submit(scheduler, row(2), lane=lane)
    while not alone.done():
        flood.append(submit(scheduler, row(1), lane=other))
        await turn(lambda: len(executor.held) == 1)
        executor.release()
        await turn(lambda: bool(executor.held) or alone.done())
    before = [bool((batch.input_ids == 2).any()) for batch in model.batches].index(True)
    assert before == (9 if lane is Lane.BULK else 1)
    await run_batches(executor, turn, until=lambda: all(call.done() for call in flood))


async def test_interactive_goes_before_bulk(
    scheduler: BatchScheduler, executor: HeldExecutor, model: SummingModel, turn: Turn
) -> None:
    """A row of a person waiting overtakes the rows of a file."""
    running = submit(scheduler, row(1))
    await turn(lambda: len(executor.held) == 1)
    bulk = submit(scheduler, row(2), lane=Lane.BULK)
    interactive = submit(scheduler, row(3))
    for _ in range(3):
        await turn(lambda: len(executor.held) == 1)
        executor.release()
    await asyncio.gather(running, bulk, interactive)
    assert [batch.input_ids[0, 0] for batch in model.batches] == [1, 3, 2]


async def test_bulk_waits_for_room_instead_of_being_refused(
    scheduler: BatchScheduler, executor: HeldExecutor, turn: Turn, log: EventLog
) -> None:
    """A full bulk lane slows its senders down; when those ahead leave, the next moves up."""
    running = submit(scheduler, row(1))
    await turn(lambda: len(executor.held) == 1)
    ahead = submit(scheduler, *(row(2) for _ in range(16)), lane=Lane.BULK)
    await turn(lambda: log.queue_rows == 16)
    behind = submit(scheduler, row(3), lane=Lane.BULK)
    await asyncio.sleep(0)
    assert log.queue_rows == 16
    ahead.cancel()
    executor.release()
    await turn(lambda: len(executor.held) == 1)
    executor.release()
    assert (await behind)[0, 0] == 3
    await running


async def test_a_refused_row_fails_its_own_caller_alone(
    scheduler: BatchScheduler, executor: HeldExecutor, turn: Turn
) -> None:
    """When the model refuses a batch, each caller's rows run again alone, and the others are answered."""
    running = submit(scheduler, row(1))
    await turn(lambda: len(executor.held) == 1)
    bad, good = submit(scheduler, row(13), row(2)), submit(scheduler, row(3))
    for _ in range(4):
        await turn(lambda: len(executor.held) == 1)
        executor.release()
    assert (await good)[0, 0] == 3
    with pytest.raises(InvalidTensorError, match="vocabulary"):
        await bad
    await running


@pytest.mark.parametrize("poison", [66, 99])
async def test_a_failing_model_gives_an_error_and_no_score(
    scheduler: BatchScheduler, executor: HeldExecutor, turn: Turn, poison: int
) -> None:
    """A NaN or a crash in the model is an `InferenceError`, and the next caller is served."""
    failing = submit(scheduler, row(poison))
    await turn(lambda: len(executor.held) == 1)
    executor.release()
    with pytest.raises(InferenceError):
        await failing
    healthy = submit(scheduler, row(4))
    await turn(lambda: len(executor.held) == 1)
    executor.release()
    assert (await healthy)[0, 0] == 4


async def test_closing_answers_everyone(
    model: SummingModel, executor: HeldExecutor, scheduling: SchedulerResources, turn: Turn
) -> None:
    """Closing waits for what is computed, which is answered, and leaves no caller hanging."""
    scheduler = BatchScheduler(
        model.executables, version="1", resources=replace(scheduling, executor=executor)
    )
    running = submit(scheduler, row(1))
    await turn(lambda: len(executor.held) == 1)
    waiting = submit(scheduler, row(2))
    bulk, without_room = (submit(scheduler, *[row(3)] * 16, lane=Lane.BULK) for _ in range(2))
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(scheduler.close())
    await asyncio.sleep(0)
    assert not closing.done()
    executor.release()
    await closing
    assert (await running)[0, 0] == 1
    for call in (waiting, bulk, without_room, submit(scheduler, row(4))):
        with pytest.raises(NoVersionReadyError, match="unloaded"):
            await call
    assert not executor.held


async def test_reports_say_what_a_batch_was(
    scheduler: BatchScheduler, executor: HeldExecutor, turn: Turn, log: EventLog, model: SummingModel
) -> None:
    """Tokens, padding, waiting and computing are measured on the injected clock."""
    call = submit(scheduler, row(1, 2, 3), row(4))
    await turn(lambda: len(executor.held) == 1)
    model.seconds = 0.5
    executor.release()
    await call
    (report,) = log.of(BatchRan)
    assert (report.rows, report.tokens, report.padded_tokens) == (2, 4, 6)
    assert report.compute_seconds == pytest.approx(0.5)
    assert log.queue_rows == 0


async def test_no_rows_is_an_error(scheduler: BatchScheduler) -> None:
    """An empty call is refused rather than left waiting."""
    with pytest.raises(InferenceError):
        await scheduler.submit([], lane=Lane.INTERACTIVE)
