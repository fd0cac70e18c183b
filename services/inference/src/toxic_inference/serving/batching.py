"""The batch scheduler: from callers' rows to batches that fill a token budget.

Owns one servable's queue. Callers add rows and await a future; one task takes rows out and forms batches,
which run on worker threads. While they run the next one gathers, so an idle servable never waits to fill a
batch and a busy one fills it by itself. A batch that nothing else waits beside has all processors; in a
crowd batches run side by side, so that they don't stand still while one is answered and the next is formed.

Invariant: a caller's fate touches nobody else's. One who departs, or whose deadline passes, is dropped where
they stand; one whose rows the model refuses fails alone. Used from the event loop's thread only.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from toxic_core.errors import OverloadedError, ToxicError
from toxic_core.tokens import EncodedBatch
from toxic_inference.serving.calls import Call, Entry
from toxic_inference.serving.clock import Clock
from toxic_inference.serving.errors import DeadlineExceededError, InferenceError
from toxic_inference.serving.interfaces import Float32Array, Lane, Row
from toxic_inference.serving.observers import BatchObserver, BatchReport
from toxic_inference.serving.pace import Pace, RunningBatch
from toxic_inference.serving.packing import assemble
from toxic_inference.serving.slots import Slots, Turn
from toxic_inference.serving.waiting import RowQueue

_UNLOADED = "The version was unloaded before it answered; ask again."


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How much a scheduler takes.

    Attributes:
        token_budget: most tokens in a batch, padding included; a longer row runs alone.
        queue_rows: most interactive rows that wait, and as many bulk rows.
        queue_seconds: longest that an interactive row may be expected to wait.
    """

    token_budget: int
    queue_rows: int
    queue_seconds: float


class Model(Protocol):
    """What computes; `Servable` is one."""

    @property
    def side_by_side(self) -> bool:
        """Whether it takes a batch in each slot."""
        ...

    def infer(self, batch: EncodedBatch, *, alone: bool) -> Float32Array:
        """Return raw scores, float32 [batch, labels]; blocks, and raises `ToxicError` for what it refuses."""
        ...


@dataclass(frozen=True, slots=True)
class SchedulerParts:
    """What the schedulers of all versions share.

    Attributes:
        limits: token budget and queue bounds.
        slots: whose turn it is, so that two versions don't fight for the cores.
        executor: a worker thread for each slot.
        clock: for waiting times and deadlines.
        observer: told of queues and batches.
    """

    limits: BatchLimits
    slots: Slots
    executor: Executor
    clock: Clock
    observer: BatchObserver


class BatchScheduler:
    """Feeds one servable.

    Args:
        model: runs the batches; called on worker threads.
        pad_id: token id that fills a batch.
        parts: what it shares with other versions' schedulers.
    """

    def __init__(self, model: Model, *, pad_id: int, parts: SchedulerParts) -> None:
        self._model = model
        self._pad_id = pad_id
        self._limits = parts.limits
        self._slots = parts.slots
        self._slots_of_a_batch = 1 if model.side_by_side else parts.slots.number
        # So that a batch beside others takes as long as one alone.
        self._budget = parts.limits.token_budget * self._slots_of_a_batch // parts.slots.number
        self._executor = parts.executor
        self._clock = parts.clock
        self._observer = parts.observer
        self._queue = RowQueue()
        self._pace = Pace(token_budget=self._budget)
        self._running: set[asyncio.Task[None]] = set()
        self._work = asyncio.Event()
        self._room = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self._running and not len(self._queue)

    def start(self) -> None:
        """Begin to run batches."""
        self._task = asyncio.create_task(self._run(), name="batch-scheduler")

    async def close(self) -> None:
        """Stop, after the batches that are running. Callers still waiting get an `InferenceError`."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task, *self._running])
        for call in self._queue.calls():
            self._fail(call, InferenceError(_UNLOADED))

    async def submit(self, rows: Sequence[Row], *, lane: Lane, deadline: float | None = None) -> Float32Array:
        """Return the raw scores of `rows`, in order, float32 [rows, labels].

        Interactive rows are refused at once when too many wait already; bulk rows wait for room, which slows
        their sender down instead. What hasn't begun to be computed at `deadline`, on the clock, never is.

        Raises:
            OverloadedError: too many interactive rows are waiting.
            DeadlineExceededError: the deadline passed while they waited.
            InvalidTensorError: the model refuses these rows.
            InferenceError: the model failed.
        """
        if not rows:
            raise InferenceError("No rows were given to score.")
        if lane is Lane.INTERACTIVE:
            self.check_room(len(rows))
        else:
            async with self._room:
                await self._room.wait_for(lambda: self._has_room(len(rows), lane))
        call = self._enqueue(rows, lane=lane, deadline=deadline)
        try:
            return await call.future
        finally:
            self._drop_waiting(call)

    def check_room(self, rows: int) -> None:
        """Refuse so many interactive rows if too many wait already.

        Raises:
            OverloadedError: they do.
        """
        if error := self.overload(rows):
            self._observer.refused(rows=rows)
            raise error

    def overload(self, rows: int) -> OverloadedError | None:
        """Return why so many interactive rows would be refused now; None where they wouldn't."""
        waiting = self._queue.tokens(Lane.INTERACTIVE)
        # What an idle queue takes at once is never refused, however slow the model.
        seconds = self._pace.seconds_until(waiting_tokens=waiting, now=self._clock.now()) if waiting else 0.0
        if self._has_room(rows, Lane.INTERACTIVE) and seconds <= self._limits.queue_seconds:
            return None
        return OverloadedError(
            f"{self._queue.rows(Lane.INTERACTIVE):,} rows are waiting, which takes about {seconds:.1f} s; "
            "ask again after that.",
            retry_after_seconds=seconds,
        )

    def _has_room(self, rows: int, lane: Lane) -> bool:
        waiting = self._queue.rows(lane)
        # One call larger than the queue is let in alone, or it would wait for ever.
        return waiting == 0 or waiting + rows <= self._limits.queue_rows

    def _enqueue(self, rows: Sequence[Row], *, lane: Lane, deadline: float | None) -> Call:
        call = Call(
            future=asyncio.get_running_loop().create_future(),
            rows=rows,
            lane=lane,
            submitted=self._clock.now(),
            deadline=deadline,
            scores=[None] * len(rows),
            unanswered=len(rows),
        )
        self._queue.add(call)
        self._observer.queue_changed(rows=len(rows))
        self._work.set()
        return call

    def _drop_waiting(self, call: Call) -> None:
        """Take out what is left of a call that was cancelled or failed."""
        dropped = self._queue.drop(call)
        if not dropped:
            return
        if call.future.cancelled():
            self._observer.departed(rows=dropped)
        self._observer.queue_changed(rows=-dropped)
        self._work.set()  # wakes the task, which tells bulk callers that there is room

    async def _run(self) -> None:
        while True:
            await self._work.wait()
            turn = await self._slots.take(self._slots_of_a_batch)
            self._expire()
            batch = self._queue.take(budget=self._budget)
            if batch:
                self._observer.queue_changed(rows=-len(batch))
                if not len(self._queue):
                    turn.widen()
                task = asyncio.create_task(self._run_batch(batch, turn), name="batch")
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            else:
                turn.end()
            if not len(self._queue):
                self._work.clear()
            async with self._room:
                self._room.notify_all()

    def _expire(self) -> None:
        for call in self._queue.expired(self._clock.now()):
            self._observer.expired(rows=len(call.waiting))
            self._fail(call, DeadlineExceededError("The deadline passed before the text's turn came."))

    async def _run_batch(self, entries: list[Entry], turn: Turn) -> None:
        try:
            found = await self._score(entries, turn)
        finally:
            # Before anybody is answered: that takes the event loop a while, in which the next batch can run.
            turn.end()
        for entry, scores in found:
            if isinstance(scores, Exception):
                self._fail(entry.call, scores)
            else:
                self._answer(entry, scores)

    async def _score(self, entries: list[Entry], turn: Turn) -> list[tuple[Entry, Float32Array | Exception]]:
        """Return each row's scores; of a caller whose rows the model refuses, the error."""
        started = self._clock.now()
        running = RunningBatch(sum(entry.tokens for entry in entries), turn.share, since=started)
        self._pace.started(running)
        try:
            scores, seconds = await self._infer_entries(entries, turn)
        except Exception as error:  # noqa: BLE001  the model's failure belongs to its callers, not to this task
            self._pace.abandoned(running)
            return await self._score_apart(entries, turn, error)
        self._pace.ended(running, seconds=seconds)
        self._report(entries, started=started, seconds=seconds)
        return list(zip(entries, scores, strict=True))

    async def _score_apart(
        self, entries: list[Entry], turn: Turn, error: Exception
    ) -> list[tuple[Entry, Float32Array | Exception]]:
        """After a batch failed, find whose rows it was: run each caller's again alone."""
        calls = {id(entry.call): entry.call for entry in entries}
        if len(calls) == 1:
            return [(entries[0], error)]
        found: list[tuple[Entry, Float32Array | Exception]] = []
        for call in calls.values():
            if not call.future.done():
                found += await self._score([entry for entry in entries if entry.call is call], turn)
        return found

    async def _infer_entries(self, entries: list[Entry], turn: Turn) -> tuple[Float32Array, float]:
        batch = assemble([entry.row for entry in entries], pad_id=self._pad_id)
        loop = asyncio.get_running_loop()
        timed = partial(self._timed_infer, batch, alone=turn.whole)
        scores, seconds = await loop.run_in_executor(self._executor, timed)
        if len(scores) != len(entries):
            raise InferenceError(f"The model answered {len(scores)} rows for {len(entries)}.")
        return scores, seconds

    def _timed_infer(self, batch: EncodedBatch, *, alone: bool) -> tuple[Float32Array, float]:
        """Run a batch, on a worker thread; return its scores, and the seconds that it took there.

        Seen from the event loop it would last until the loop has time again, and a busy loop would pass for a
        slow model.
        """
        began = self._clock.now()
        scores = self._model.infer(batch, alone=alone)
        return scores, self._clock.now() - began

    def _report(self, entries: list[Entry], *, started: float, seconds: float) -> None:
        self._observer.batch_ran(
            BatchReport(
                rows=len(entries),
                tokens=sum(entry.tokens for entry in entries),
                padded_tokens=len(entries) * max(entry.tokens for entry in entries),
                compute_seconds=seconds,
                longest_wait_seconds=started - min(entry.call.submitted for entry in entries),
            )
        )

    def _answer(self, entry: Entry, scores: Float32Array) -> None:
        call = entry.call
        if call.future.done():
            return
        if not np.isfinite(scores).all():
            self._fail(call, InferenceError("The model answered something that isn't a number."))
            return
        call.scores[entry.position] = scores
        call.unanswered -= 1
        if call.unanswered == 0:
            call.future.set_result(np.stack([row for row in call.scores if row is not None]))

    def _fail(self, call: Call, error: Exception) -> None:
        self._drop_waiting(call)
        if call.future.done():
            return
        if not isinstance(error, ToxicError):
            wrapped = InferenceError(f"The model failed on this input: {type(error).__name__}.")
            wrapped.__cause__ = error
            error = wrapped
        call.future.set_exception(error)
