"""The batch scheduler: from callers' rows to batches that fill a token budget.

Owns one servable's queue. Callers add rows and await a future; one task takes rows out, forms a batch and
runs it on a worker thread. While a batch runs the next one gathers, so an idle servable never waits to fill
a batch and a busy one fills it by itself.

Invariant: a caller's fate touches nobody else's. One who departs is dropped where they stand; one whose rows
the model refuses fails alone; and the oldest waiting row is in every next batch, so none starves. Used from
the event loop's thread only.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np

from toxic_core.errors import OverloadedError, ToxicError
from toxic_core.tokens import EncodedBatch
from toxic_inference.serving.calls import Call, Entry
from toxic_inference.serving.clock import Clock
from toxic_inference.serving.errors import InferenceError
from toxic_inference.serving.interfaces import Float32Array, Lane, Row
from toxic_inference.serving.observers import BatchObserver, BatchReport
from toxic_inference.serving.packing import assemble, choose_batch

_WINDOW_ROWS = 512
"""How many waiting rows are looked at to form a batch: enough to find equal lengths, at a bounded cost."""

_UNLOADED = "The version was unloaded before it answered; ask again."

_SMOOTHING = 0.2
_MIN_RETRY_SECONDS = 1.0
_MAX_RETRY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How much a scheduler takes.

    Attributes:
        token_budget: most tokens in a batch, padding included; a longer row runs alone.
        queue_rows: most interactive rows that wait, and as many bulk rows.
    """

    token_budget: int
    queue_rows: int


class Infer(Protocol):
    """The model: blocks, raises `ToxicError` for inputs it refuses."""

    def __call__(self, batch: EncodedBatch, /) -> Float32Array:
        """Return raw scores, float32 [batch, labels]."""
        ...


@dataclass(frozen=True, slots=True)
class SchedulerParts:
    """What the schedulers of all versions share.

    Attributes:
        limits: token budget and queue bound.
        executor: one worker thread for all, so that two versions don't fight for the cores.
        clock: for waiting times.
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
        self._queues: dict[Lane, OrderedDict[int, Entry]] = {lane: OrderedDict() for lane in Lane}
        self._next_key = 0
        self._work = asyncio.Event()
        self._room = asyncio.Condition()
        self._waiting_tokens = 0
        self._seconds_per_token = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to run batches."""
        self._task = asyncio.create_task(self._run(), name="batch-scheduler")

    async def close(self) -> None:
        """Stop, after the batch that is running. Callers still waiting get an `InferenceError`."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        for queue in self._queues.values():
            for entry in list(queue.values()):
                self._fail(entry.call, InferenceError(_UNLOADED))

    async def submit(self, rows: Sequence[Row], *, lane: Lane) -> Float32Array:
        """Return the raw scores of `rows`, in order, float32 [rows, labels].

        Interactive rows are refused at once when the queue is full; bulk rows wait for room, which slows
        their sender down instead.

        Raises:
            OverloadedError: too many interactive rows are waiting.
            InvalidTensorError: the model refuses these rows.
            InferenceError: the model failed.
        """
        if not rows:
            raise InferenceError("No rows were given to score.")
        if lane is Lane.INTERACTIVE:
            self._refuse_if_full(len(rows))
        else:
            async with self._room:
                await self._room.wait_for(lambda: self._has_room(len(rows), lane))
        call = self._enqueue(rows, lane=lane)
        try:
            return await call.future
        finally:
            self._drop_waiting(call)

    def _has_room(self, rows: int, lane: Lane) -> bool:
        waiting = len(self._queues[lane])
        # One call larger than the queue is let in alone, or it would wait for ever.
        return waiting == 0 or waiting + rows <= self._limits.queue_rows

    def _refuse_if_full(self, rows: int) -> None:
        if self._has_room(rows, Lane.INTERACTIVE):
            return
        self._observer.refused(rows=rows)
        expected = self._waiting_tokens * self._seconds_per_token
        wait = min(max(expected, _MIN_RETRY_SECONDS), _MAX_RETRY_SECONDS)
        raise OverloadedError(
            f"{self._limits.queue_rows} texts may wait at once and the queue is full; "
            f"ask again in {wait:.0f} s.",
            retry_after_seconds=wait,
        )

    def _enqueue(self, rows: Sequence[Row], *, lane: Lane) -> Call:
        call = Call(
            future=asyncio.get_running_loop().create_future(),
            rows=rows,
            lane=lane,
            submitted=self._clock.now(),
            scores=[None] * len(rows),
            unanswered=len(rows),
        )
        queue = self._queues[lane]
        for position in range(len(rows)):
            self._next_key += 1
            queue[self._next_key] = Entry(self._next_key, call, position)
            call.waiting.add(self._next_key)
        self._waiting_tokens += sum(len(row.ids) for row in rows)
        self._observer.queue_changed(rows=len(rows))
        self._work.set()
        return call

    def _drop_waiting(self, call: Call) -> None:
        """Take out what is left of a call that was cancelled or failed."""
        if not call.waiting:
            return
        if call.future.cancelled():
            self._observer.departed(rows=len(call.waiting))
        queue = self._queues[call.lane]
        for key in call.waiting:
            self._waiting_tokens -= queue.pop(key).tokens
        self._observer.queue_changed(rows=-len(call.waiting))
        call.waiting.clear()
        self._work.set()  # wakes the task, which tells bulk callers that there is room

    async def _run(self) -> None:
        while True:
            await self._work.wait()
            batch = self._take_batch()
            async with self._room:
                self._room.notify_all()
            if batch:
                await self._run_batch(batch)
            elif not any(self._queues.values()):
                self._work.clear()

    def _take_batch(self) -> list[Entry]:
        for lane in (Lane.INTERACTIVE, Lane.BULK):
            if queue := self._queues[lane]:
                window = list(islice(queue.values(), _WINDOW_ROWS))
                batch = choose_batch([entry.tokens for entry in window], budget=self._limits.token_budget)
                entries = [window[index] for index in batch]
                for entry in entries:
                    self._waiting_tokens -= queue.pop(entry.key).tokens
                    entry.call.waiting.discard(entry.key)
                self._observer.queue_changed(rows=-len(entries))
                return entries
        return []

    async def _run_batch(self, entries: list[Entry]) -> None:
        started = self._clock.now()
        try:
            scores = await self._infer_entries(entries)
        except Exception as error:  # noqa: BLE001  the model's failure belongs to its callers, not to this task
            await self._run_apart(entries, error)
            return
        except asyncio.CancelledError:
            for entry in entries:
                self._fail(entry.call, InferenceError(_UNLOADED))
            raise
        self._report(entries, started=started)
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

    async def _infer_entries(self, entries: list[Entry]) -> Float32Array:
        batch = assemble([entry.row for entry in entries], pad_id=self._pad_id)
        # Shielded, so that closing waits for the worker thread instead of freeing the model under it.
        running = asyncio.get_running_loop().run_in_executor(self._executor, self._infer, batch)
        try:
            scores = await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            raise
        if len(scores) != len(entries):
            raise InferenceError(f"The model answered {len(scores)} rows for {len(entries)}.")
        return scores

    def _report(self, entries: list[Entry], *, started: float) -> None:
        seconds = self._clock.now() - started
        tokens = sum(entry.tokens for entry in entries)
        padded = len(entries) * max(entry.tokens for entry in entries)
        recent = seconds / max(padded, 1)
        weight = _SMOOTHING if self._seconds_per_token else 1.0
        self._seconds_per_token += weight * (recent - self._seconds_per_token)
        self._observer.batch_ran(
            BatchReport(
                rows=len(entries),
                tokens=tokens,
                padded_tokens=padded,
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
