"""The batch scheduler: from callers' rows to batches that fill a token budget.

Owns one servable's queue. Callers add rows and await a future; one task takes rows out, forms a batch and
runs it on a worker thread. While a batch runs the next one gathers, so an idle servable never waits to fill
a batch and a busy one fills it by itself.

Invariant: a caller's fate touches nobody else's. One who departs, or whose deadline passes, is dropped where
they stand; one whose rows the model refuses fails alone. Used from the event loop's thread only.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from toxic_core.errors import OverloadedError, ToxicError
from toxic_core.tokens import EncodedBatch
from toxic_inference.serving.calls import Call, Entry
from toxic_inference.serving.clock import Clock
from toxic_inference.serving.errors import DeadlineExceededError, InferenceError
from toxic_inference.serving.interfaces import Float32Array, Lane, Row
from toxic_inference.serving.observers import BatchObserver, BatchReport
from toxic_inference.serving.pace import Pace
from toxic_inference.serving.packing import assemble
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


class Infer(Protocol):
    """The model: blocks, raises `ToxicError` for inputs it refuses."""

    def __call__(self, batch: EncodedBatch, /) -> Float32Array:
        """Return raw scores, float32 [batch, labels]."""
        ...


@dataclass(frozen=True, slots=True)
class SchedulerParts:
    """What the schedulers of all versions share.

    Attributes:
        limits: token budget and queue bounds.
        executor: one worker thread for all, so that two versions don't fight for the cores.
        clock: for waiting times and deadlines.
        observer: told of queues and batches.
    """

    limits: BatchLimits
    executor: Executor
    clock: Clock
    observer: BatchObserver


class BatchScheduler:
    """Feeds one servable.

    Args:
        infer: runs one batch; called on the worker thread.
        pad_id: token id that fills a batch.
        parts: what it shares with other versions' schedulers.
    """

    def __init__(self, infer: Infer, *, pad_id: int, parts: SchedulerParts) -> None:
        self._infer = infer
        self._pad_id = pad_id
        self._limits = parts.limits
        self._executor = parts.executor
        self._clock = parts.clock
        self._observer = parts.observer
        self._queue = RowQueue()
        self._pace = Pace(token_budget=self._limits.token_budget)
        self._running = False
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
        """Stop, after the batch that is running. Callers still waiting get an `InferenceError`."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
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
        waiting = self._queue.tokens(Lane.INTERACTIVE)
        # What an idle queue takes at once is never refused, however slow the model.
        seconds = self._pace.seconds_until(waiting_tokens=waiting, now=self._clock.now()) if waiting else 0.0
        if self._has_room(rows, Lane.INTERACTIVE) and seconds <= self._limits.queue_seconds:
            return
        self._observer.refused(rows=rows)
        raise OverloadedError(
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
            self._expire()
            batch = self._queue.take(budget=self._limits.token_budget)
            async with self._room:
                self._room.notify_all()
            if batch:
                self._observer.queue_changed(rows=-len(batch))
                self._running = True
                await self._run_batch(batch)
                self._running = False
            elif not len(self._queue):
                self._work.clear()

    def _expire(self) -> None:
        for call in self._queue.expired(self._clock.now()):
            self._observer.expired(rows=len(call.waiting))
            self._fail(call, DeadlineExceededError("The deadline passed before the text's turn came."))

    async def _run_batch(self, entries: list[Entry]) -> None:
        started = self._clock.now()
        self._pace.started(tokens=sum(entry.tokens for entry in entries), now=started)
        try:
            scores, seconds = await self._infer_entries(entries)
        except Exception as error:  # noqa: BLE001  the model's failure belongs to its callers, not to this task
            self._pace.abandoned()
            await self._run_apart(entries, error)
            return
        except asyncio.CancelledError:
            for entry in entries:
                self._fail(entry.call, InferenceError(_UNLOADED))
            raise
        self._pace.ended(seconds=seconds)
        self._report(entries, started=started, seconds=seconds)
        for entry, row in zip(entries, scores, strict=True):
            self._answer(entry, row)

    async def _run_apart(self, entries: list[Entry], error: Exception) -> None:
        """After a batch failed, find whose rows it was: run each caller's again alone."""
        calls = {id(entry.call): entry.call for entry in entries}
        if len(calls) == 1:
            self._fail(entries[0].call, error)
            return
        for call in calls.values():
            if not call.future.done():
                await self._run_batch([entry for entry in entries if entry.call is call])

    async def _infer_entries(self, entries: list[Entry]) -> tuple[Float32Array, float]:
        batch = assemble([entry.row for entry in entries], pad_id=self._pad_id)
        # Shielded, so that closing waits for the worker thread instead of freeing the model under it.
        running = asyncio.get_running_loop().run_in_executor(self._executor, self._timed_infer, batch)
        try:
            scores, seconds = await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            raise
        if len(scores) != len(entries):
            raise InferenceError(f"The model answered {len(scores)} rows for {len(entries)}.")
        return scores, seconds

    def _timed_infer(self, batch: EncodedBatch) -> tuple[Float32Array, float]:
        """Run a batch, on the worker thread; return its scores, and the seconds that it took there.

        Seen from the event loop it would last until the loop has time again, and a busy loop would pass for a
        slow model.
        """
        began = self._clock.now()
        scores = self._infer(batch)
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
