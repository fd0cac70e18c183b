"""The batch scheduler: from callers' rows to batches that fill a token budget.

Owns one servable's queue. Callers add rows and await a future; rows are taken out in batches, which run on
worker threads. While they run the next one gathers, so an idle servable never waits to fill a batch and a
busy one fills it by itself. A batch that nothing else waits beside has all processors; in a crowd batches run
side by side, so that they don't stand still while one is answered. The next is formed and handed to a worker
in the very callback that hears of a batch's end, before anybody is answered: between two tasks of the event
loop other requests would have their turns, and the processors nothing to do. Where enough rows wait, it is
handed over before that end.

Invariant: a caller's fate touches nobody else's. One who departs, or whose deadline passes, is dropped where
they stand; one whose rows the model refuses fails alone. Used from the event loop's thread only.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from toxic_core.errors import OverloadedError, ToxicError
from toxic_core.tokens import EncodedBatch
from toxic_inference.events import BatchRan, Emit, QueueChanged, RowsDeparted, RowsExpired, RowsRefused
from toxic_inference.serving.batching.calls import Call, Entry, by_caller
from toxic_inference.serving.batching.pace import Pace, RunningBatch
from toxic_inference.serving.batching.packing import assemble
from toxic_inference.serving.batching.row_queue import RowQueue
from toxic_inference.serving.batching.slots import Slots, Turn
from toxic_inference.serving.clock import Clock
from toxic_inference.serving.errors import DeadlineExceededError, InferenceError
from toxic_inference.serving.interfaces import Float32Array, Lane, Row

_AHEAD = 0.5
"""Part of a batch's tokens that must wait for it to be handed over ahead; fewer rows had better gather."""

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
        emit: receives the events of queues and batches.
    """

    limits: BatchLimits
    slots: Slots
    executor: Executor
    clock: Clock
    emit: Emit


@dataclass(frozen=True, slots=True)
class _Work:
    """Rows that a worker thread has, or will have next.

    Attributes:
        entries: the rows.
        computed: their scores, and the seconds that they took.
    """

    entries: list[Entry]
    computed: "Future[tuple[Float32Array, float]]"


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """Work whose turn it is.

    Attributes:
        work: what is computed.
        turn: in which it is.
        running: the same, as the pace knows it.
        then: rows that are computed after it, in the same turn: each a batch of its own.
    """

    work: _Work
    turn: Turn
    running: RunningBatch
    then: Sequence[list[Entry]]


class BatchScheduler:
    """Feeds one servable.

    Args:
        model: runs the batches; called on worker threads.
        version: whose model it is, for events.
        pad_id: token id that fills a batch.
        parts: what it shares with other versions' schedulers.
    """

    def __init__(self, model: Model, *, version: str, pad_id: int, parts: SchedulerParts) -> None:
        self._model = model
        self._pad_id = pad_id
        self._limits = parts.limits
        self._slots = parts.slots
        self._slots_of_a_batch = 1 if model.side_by_side else parts.slots.number
        # So that a batch beside others takes as long as one alone.
        self._budget = parts.limits.token_budget * self._slots_of_a_batch // parts.slots.number
        self._executor = parts.executor
        self._clock = parts.clock
        self._version = version
        self._emit = parts.emit
        self._queue = RowQueue()
        self._pace = Pace(token_budget=self._budget)
        self._running: set[_Batch] = set()
        self._next: _Work | None = None
        self._asked = False
        self._closed = False
        self._room = asyncio.Event()
        self._ended = asyncio.Event()

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self._running and not len(self._queue)

    async def close(self) -> None:
        """Stop, after the batches that are running. Callers still waiting get an `InferenceError`."""
        self._closed = True
        self._room.set()
        for call in self._queue.calls():
            self._fail(call, InferenceError(_UNLOADED))
        while self._running:
            self._ended.clear()
            await self._ended.wait()

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
            await self._wait_for_room(len(rows), lane)
        if self._closed:
            raise InferenceError(_UNLOADED)
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
            self._emit(RowsRefused(rows))
            raise error

    def overload(self, rows: int) -> OverloadedError | None:
        """Return why so many interactive rows would be refused now; None where they wouldn't."""
        ahead = self._next.entries if self._next else ()
        waiting = self._queue.tokens(Lane.INTERACTIVE) + sum(entry.tokens for entry in ahead)
        # What an idle queue takes at once is never refused, however slow the model.
        seconds = self._pace.seconds_until(waiting_tokens=waiting, now=self._clock.now()) if waiting else 0.0
        if self._has_room(rows, Lane.INTERACTIVE) and seconds <= self._limits.queue_seconds:
            return None
        return OverloadedError(
            f"{self._queue.rows(Lane.INTERACTIVE) + len(ahead):,} rows are waiting, which takes about "
            f"{seconds:.1f} s; ask again after that.",
            retry_after_seconds=seconds,
        )

    async def _wait_for_room(self, rows: int, lane: Lane) -> None:
        while not (self._closed or self._has_room(rows, lane)):
            self._room.clear()
            await self._room.wait()

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
        self._emit(QueueChanged(len(rows)))
        if not self._asked:
            # Soon, not now: what else comes in with it joins the same batch.
            asyncio.get_running_loop().call_soon(self._ask)
        self._look_ahead()
        return call

    def _drop_waiting(self, call: Call) -> None:
        """Take out what is left of a call that was cancelled or failed."""
        dropped = self._queue.drop(call)
        if not dropped:
            return
        if call.future.cancelled():
            self._emit(RowsDeparted(dropped))
        self._emit(QueueChanged(-dropped))
        self._room.set()

    def _ask(self) -> None:
        """Ask for the next batch's turn, if there are rows for one and nobody has asked."""
        if len(self._queue) and not self._asked:
            self._asked = True
            self._slots.ask(self._slots_of_a_batch, self._begin)

    def _begin(self, turn: Turn) -> None:
        """Compute a batch of those who wait, as far as they still do."""
        self._asked = False
        self._expire()
        if entries := self._take():
            if not len(self._queue):
                turn.widen()
            self._compute(self._hand_over(entries, alone=turn.whole), turn)
        else:
            turn.end()
        self._ask()
        self._look_ahead()

    def _look_ahead(self) -> None:
        """Hand over one batch more than can be computed now, if enough rows wait for it.

        The worker that is free first begins it, without waiting for the event loop. Not while another version
        or rows of a batch that failed want the turn; nor while a caller has a deadline, which is kept to the
        last moment.
        """
        if (
            self._next is None
            and len(self._running) == self._slots.number > self._slots_of_a_batch
            and self._slots.waiting == self._asked
            and self._queue.tokens(Lane.INTERACTIVE) >= _AHEAD * self._budget
            and not self._queue.timed
            and not any(batch.then for batch in self._running)
        ):
            self._next = self._hand_over(self._take(), alone=False)

    def _take(self) -> list[Entry]:
        """Take the rows of a batch out of the queue."""
        entries = self._queue.take(budget=self._budget)
        if entries:
            self._emit(QueueChanged(-len(entries)))
            self._room.set()
        return entries

    def _expire(self) -> None:
        for call in self._queue.expired(self._clock.now()):
            self._emit(RowsExpired(len(call.waiting)))
            self._fail(call, DeadlineExceededError("The deadline passed before the text's turn came."))

    def _hand_over(self, entries: list[Entry], *, alone: bool) -> _Work:
        """Give rows to the worker threads."""
        rows = [entry.row for entry in entries]
        return _Work(entries, self._executor.submit(self._infer, rows, alone=alone))

    def _compute(self, work: _Work, turn: Turn, *, then: Sequence[list[Entry]] = ()) -> None:
        """Let this work have the turn; `_end` hears of its end."""
        tokens = sum(entry.tokens for entry in work.entries)
        batch = _Batch(work, turn, RunningBatch(tokens, turn.share, since=self._clock.now()), then)
        self._running.add(batch)
        self._pace.started(batch.running)
        loop = asyncio.get_running_loop()
        work.computed.add_done_callback(lambda _: loop.call_soon_threadsafe(self._end, batch))

    def _infer(self, rows: Sequence[Row], *, alone: bool) -> tuple[Float32Array, float]:
        """Compute rows, on a worker thread; return their scores, and the seconds that it took there.

        Seen from the event loop it would last until the loop has time again, and a busy loop would pass for a
        slow model.
        """
        batch = assemble(rows, pad_id=self._pad_id)
        began = self._clock.now()
        scores = self._model.infer(batch, alone=alone)
        seconds = self._clock.now() - began
        if len(scores) != len(rows):
            raise InferenceError(f"The model answered {len(scores)} rows for {len(rows)}.")
        return scores, seconds

    def _end(self, batch: _Batch) -> None:
        """Go on with the next batch, then answer this one's callers.

        Where it failed, whose rows it was is found by computing each caller's alone.
        """
        self._running.discard(batch)
        entries, computed = batch.work.entries, batch.work.computed
        if (error := computed.exception()) is None:
            scores, seconds = computed.result()
            self._pace.ended(batch.running, seconds=seconds)
            self._go_on(batch.turn, batch.then)
            self._report(batch, seconds=seconds)
            for entry, row_scores in zip(entries, scores, strict=True):
                self._answer(entry, row_scores)
        else:
            self._pace.abandoned(batch.running)
            callers = by_caller(entries)
            if len(callers) == 1:
                self._go_on(batch.turn, batch.then)
                self._fail(entries[0].call, error)
            else:
                self._go_on(batch.turn, [*callers, *batch.then])
        self._ended.set()

    def _go_on(self, turn: Turn, then: Sequence[list[Entry]]) -> None:
        """Give the turn to the work that was handed over ahead, to the rows that are left for it, or back."""
        if self._next is not None:
            work, self._next = self._next, None
            self._compute(work, turn, then=then)
            self._look_ahead()
            return
        for number, entries in enumerate(then, start=1):
            if waited_for := [entry for entry in entries if not entry.call.future.done()]:
                self._compute(self._hand_over(waited_for, alone=turn.whole), turn, then=then[number:])
                return
        turn.end()

    def _report(self, batch: _Batch, *, seconds: float) -> None:
        entries = batch.work.entries
        self._emit(
            BatchRan(
                version=self._version,
                rows=len(entries),
                tokens=batch.running.tokens,
                padded_tokens=len(entries) * max(entry.tokens for entry in entries),
                compute_seconds=seconds,
                longest_wait_seconds=batch.running.since - min(entry.call.submitted for entry in entries),
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

    def _fail(self, call: Call, error: BaseException) -> None:
        self._drop_waiting(call)
        if call.future.done():
            return
        if not isinstance(error, ToxicError):
            wrapped = InferenceError(f"The model failed on this input: {type(error).__name__}.")
            wrapped.__cause__ = error
            error = wrapped
        call.future.set_exception(error)
