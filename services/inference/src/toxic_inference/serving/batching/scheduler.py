"""The batch scheduler: turns callers' rows into batches that fill a token budget.

Owns one servable's queue. Callers add rows and await a future; batches run on worker threads. Rows gather
while a batch runs, so an idle servable never waits to fill a batch and a busy one fills it by itself. A batch
that no other rows wait beside has all processors; otherwise batches run side by side, so that processors
aren't idle while one batch is answered.

Invariant: a caller never affects the others. One who departs, or whose deadline passes, is dropped from the
queue; one whose rows the model refuses fails alone. Used from the event loop's thread only.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import structlog

from toxic_core.errors import NoVersionReadyError, OverloadedError
from toxic_inference.events import (
    BatchRan,
    Emit,
    QueueChanged,
    RowsDeparted,
    RowsExpired,
    RowsRefused,
    ShapesCompiled,
    TracedRows,
)
from toxic_inference.serving.batching.admission import Admission, BatchLimits
from toxic_inference.serving.batching.calls import Call, Entry, by_caller
from toxic_inference.serving.batching.dispatcher import Batch, Dispatcher, Feed, slots_per_batch
from toxic_inference.serving.batching.executables import Executables
from toxic_inference.serving.batching.pace import Pace
from toxic_inference.serving.batching.policy import POLICY, BatchingPolicy
from toxic_inference.serving.batching.row_queue import RowQueue
from toxic_inference.serving.batching.slots import Slots, Turn
from toxic_inference.serving.clock import Clock
from toxic_inference.serving.errors import DeadlineExceededError, InferenceError
from toxic_inference.serving.interfaces import Lane, Row
from toxic_inference.serving.tracing import TRACE
from toxic_model.loaded import Float32Array

_log = structlog.get_logger(__name__)

_WARM_PAUSE_SECONDS = 0.1
"""Until it is checked again whether all versions are idle, so that this one can be warmed."""

_PREFETCH_SHARE = 0.5
"""Share of a batch's tokens that must wait for it to be prefetched; fewer rows had better gather."""

_UNLOADED = "The version was unloaded before it answered; ask again."


@dataclass(frozen=True, slots=True)
class SchedulerResources:
    """What the schedulers of all versions share.

    Attributes:
        limits: token budget and queue bounds.
        slots: shares of the processors, so that versions take turns.
        executor: a worker thread per slot.
        clock: for waiting times and deadlines.
        emit: receives the events of queues and batches.
        policy: chooses the rows of a batch.
    """

    limits: BatchLimits
    slots: Slots
    executor: Executor
    clock: Clock
    emit: Emit
    policy: BatchingPolicy = POLICY


class BatchScheduler:
    """Schedules one servable's batches.

    Args:
        executables: the model; called on worker threads.
        version: the servable's version, for events.
        resources: shared with other versions' schedulers.
    """

    def __init__(self, executables: Executables, *, version: str, resources: SchedulerResources) -> None:
        self._version = version
        self._executables = executables
        self._slots, self._executor = resources.slots, resources.executor
        self._warming: asyncio.Task[None] | None = None
        self._clock = resources.clock
        self._emit = resources.emit
        # A batch with a share of the processors has that share of the budget, so it takes as long as a full
        # batch with all of them.
        share = slots_per_batch(executables, resources.slots)
        self._budget = resources.limits.token_budget * share // resources.slots.number
        self._at_once = resources.slots.number // share
        self._queue = RowQueue(resources.policy)
        pace = Pace(token_budget=self._budget)
        self._admission = Admission(resources.limits, queue=self._queue, pace=pace, clock=resources.clock)
        self._dispatcher = Dispatcher(
            executables,
            Feed(
                waiting=self._queue.__len__,
                # Rows with a deadline are kept to the last moment.
                enough=lambda: (
                    self._queue.tokens(Lane.INTERACTIVE) >= _PREFETCH_SHARE * self._budget
                    and not self._queue.timed
                ),
                take=self._take,
                answer=self._answer,
                fail=self._fail,
            ),
            slots=resources.slots,
            executor=resources.executor,
            pace=pace,
            clock=resources.clock,
        )

    @property
    def idle(self) -> bool:
        """Whether no row waits and no batch runs."""
        return not self._dispatcher.running and not len(self._queue)

    def warm(self, *, longest: int) -> None:
        """Compile the model for frequent shapes in the background; rows have at most `longest` tokens."""
        calls = self._executables.warm_ups(budget=self._budget, longest=longest)
        self._warming = asyncio.get_running_loop().create_task(self._warm(calls))

    async def _warm(self, calls: Sequence[Callable[[], object]]) -> None:
        loop = asyncio.get_running_loop()
        for call in calls:
            # The slots are shared: another version's batches don't wait for this one's shapes either.
            while not ((self.idle and self._slots.idle) or self._admission.closed):
                await self._clock.wait(asyncio.Event(), at_most_seconds=_WARM_PAUSE_SECONDS)
            turns: asyncio.Future[Turn] = loop.create_future()
            self._slots.ask(self._slots.number, turns.set_result)
            turn = await turns
            try:
                if self._admission.closed:
                    return
                await loop.run_in_executor(self._executor, call)
            except Exception:  # noqa: BLE001  a task's boundary: requests compile what they need
                _log.exception("shapes.not_warmed", version=self._version)
                return
            finally:
                turn.end()
            self._emit(ShapesCompiled(self._executables.take_compiled()))
        _log.info("shapes.warmed", version=self._version, shapes=len(calls))

    async def close(self) -> None:
        """Stop after the batches that are running. Callers still waiting get a `NoVersionReadyError`."""
        self._admission.close()
        if self._warming is not None:
            await self._warming
        for call in self._queue.calls():
            self._fail(call, NoVersionReadyError(_UNLOADED))
        await self._dispatcher.drained()

    async def submit(
        self, rows: Sequence[Row], *, lane: Lane, deadline: float | None = None, caller: str = ""
    ) -> Float32Array:
        """Return the raw scores of `rows`, in order, float32 [rows, labels].

        Interactive rows are refused at once if too many wait already; bulk rows wait for room, which slows
        their sender down instead. A row whose computation hasn't begun at `deadline`, on the scheduler's
        clock, is never computed.

        Raises:
            OverloadedError: too many interactive rows are waiting.
            DeadlineExceededError: the deadline passed while they waited.
            InvalidTensorError: the model refuses these rows.
            InferenceError: the model failed.
            NoVersionReadyError: the version was unloaded.
        """
        if not rows:
            raise InferenceError("No rows were given to score.")
        if lane is Lane.INTERACTIVE:
            self.check_room(len(rows), caller=caller)
        else:
            await self._admission.wait_for_room(len(rows), caller=caller)
        if self._admission.closed:
            raise NoVersionReadyError(_UNLOADED)
        future: asyncio.Future[Float32Array] = asyncio.get_running_loop().create_future()
        call = Call(
            future,
            rows,
            lane,
            submitted=self._clock.now(),
            caller=caller,
            batch_tokens=self._even_batch(rows),
            deadline=deadline,
            trace=TRACE.get(),
        )
        self._queue.add(call)
        self._emit(QueueChanged(len(rows)))
        self._dispatcher.rows_arrived()
        try:
            return await future
        finally:
            self._drop_waiting(call)

    def _even_batch(self, rows: Sequence[Row]) -> int:
        """Return the tokens per batch with which rows occupy every stream for the same time.

        Full batches would leave streams idle during the last ones: 36 windows of a long text, in batches of
        12 on two streams, take as long as 48.
        """
        lengths = [len(row.ids) for row in rows]
        tokens, longest = sum(lengths), max(lengths)
        if tokens <= self._budget:
            return self._budget  # one batch, with all processors
        batches = self._at_once * math.ceil(tokens / (self._at_once * self._budget))
        return min(self._budget, math.ceil(tokens / batches / longest) * longest)

    def check_room(self, rows: int, *, caller: str = "") -> None:
        """Refuse so many interactive rows if too many wait already.

        Raises:
            OverloadedError: too many do.
        """
        if error := self.overload(rows, caller=caller):
            self._emit(RowsRefused(rows))
            raise error

    def overload(self, rows: int, *, caller: str | None = None) -> OverloadedError | None:
        """Return the refusal that interactive rows would get now; None if they would be admitted.

        Without a caller, of one that waits for all others: None means that every caller is admitted.
        """
        ahead = self._dispatcher.prefetched
        return self._admission.overload(
            rows,
            caller=caller,
            ahead_rows=len(ahead.entries) if ahead else 0,
            ahead_tokens=ahead.tokens if ahead else 0,
        )

    def _drop_waiting(self, call: Call) -> None:
        """Remove what is left of a call that was cancelled or failed."""
        if dropped := self._queue.drop(call):
            if call.future.cancelled():
                self._emit(RowsDeparted(dropped))
            self._emit(QueueChanged(-dropped))
            self._admission.queue_shrank()

    def _take(self) -> list[Entry]:
        """Drop what expired, then take the rows of a batch out of the queue."""
        for call in self._queue.expired(self._clock.now()):
            self._emit(RowsExpired(len(call.waiting)))
            self._fail(call, DeadlineExceededError("The deadline passed before the text was computed."))
        entries = self._queue.take(budget=self._budget)
        if entries:
            self._emit(QueueChanged(-len(entries)))
            self._admission.queue_shrank()
        return entries

    def _answer(self, batch: Batch, scores: Float32Array, seconds: float) -> None:
        entries, now = batch.work.entries, self._clock.now()
        traced = by_caller([entry for entry in entries if entry.call.trace is not None])
        if compiled := self._executables.take_compiled():
            self._emit(ShapesCompiled(compiled))
        self._emit(
            BatchRan(
                version=self._version,
                rows=len(entries),
                tokens=batch.running.tokens,
                padded_tokens=len(entries) * max(entry.tokens for entry in entries),
                compute_seconds=seconds,
                longest_wait_seconds=batch.running.since - min(entry.call.submitted for entry in entries),
                traced=[
                    TracedRows(
                        rows[0].call.trace,
                        len(rows),
                        waited_seconds=batch.running.since - rows[0].call.submitted,
                        seconds=now - rows[0].call.submitted,
                    )
                    for rows in traced
                ],
            )
        )
        for entry, row_scores in zip(entries, scores, strict=True):
            if np.isfinite(row_scores).all():
                entry.call.answer(entry.position, row_scores)
            else:
                self._fail(entry.call, InferenceError("The model returned a score that isn't a number."))

    def _fail(self, call: Call, error: BaseException) -> None:
        self._drop_waiting(call)
        call.fail(error)
