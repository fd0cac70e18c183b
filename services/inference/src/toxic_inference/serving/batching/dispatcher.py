"""Runs one model's batches in turns with other models', and prefetches the next batch.

The next batch is formed and handed to a worker in the callback that receives a batch's end, before any caller
is answered: between two tasks of the event loop other requests have their turns, while processors would be
idle. If enough rows wait, the next batch is handed over even before that end.

State: a dispatcher's `Wish` for a turn, the batches that run, and at most one prefetched batch.

    NONE ── rows arrive ──► SOON ── next callback ──► TURN ── slots granted ──► NONE (or TURN, if rows wait)

Invariant: a batch that fails costs only the caller whose rows made it fail: the others' rows are computed
again, each caller's alone. Used from the event loop's thread only.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import KW_ONLY, dataclass, field
from enum import Enum, auto

from toxic_inference.serving.batching.calls import Call, Entry, by_caller
from toxic_inference.serving.batching.executables import Computed, Executables
from toxic_inference.serving.batching.pace import Pace, RunningBatch
from toxic_inference.serving.batching.slots import Slots, Turn
from toxic_inference.serving.clock import Clock
from toxic_model.loaded import Float32Array


class Wish(Enum):
    """What a dispatcher has asked for."""

    NONE = auto()
    SOON = auto()
    """The event loop's next callback will ask for a turn: rows that arrive until then join the batch."""
    TURN = auto()
    """Slots were asked for, and aren't granted yet."""


@dataclass(frozen=True, slots=True)
class Feed:
    """Where a dispatcher gets rows from, and where their results go.

    Attributes:
        waiting: returns how many rows wait.
        enough: whether so many rows wait that the next batch is worth prefetching.
        take: returns the rows of the next batch; none if all of them expired meanwhile.
        answer: receives a batch's scores and the seconds that the model took.
        fail: receives the error of a call whose rows alone made a batch fail.
    """

    waiting: Callable[[], int]
    enough: Callable[[], bool]
    take: Callable[[], list[Entry]]
    answer: Callable[["Batch", Float32Array, float], None]
    fail: Callable[[Call, BaseException], None]


@dataclass(frozen=True, slots=True)
class Work:
    """Rows that a worker thread computes, or will compute next."""

    entries: Sequence[Entry]
    computed: "Future[Computed]"

    @property
    def tokens(self) -> int:
        """Tokens without padding."""
        return sum(entry.tokens for entry in self.entries)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Work that has a turn.

    Attributes:
        work: the rows and their future scores.
        turn: the slots that it holds.
        running: the same batch, for the pace.
        retries: rows that are computed after it in the same turn, each list as a batch of its own.
    """

    work: Work
    turn: Turn
    running: RunningBatch
    retries: Sequence[list[Entry]]


@dataclass(eq=False)
class Dispatcher:
    """Feeds one model's executables.

    Attributes:
        executables: compute the batches, on worker threads.
        feed: has the rows.
        slots: shared with other models' dispatchers.
        executor: a worker thread per slot.
        pace: learns from every batch.
        clock: for the pace.
    """

    executables: Executables
    feed: Feed
    _: KW_ONLY
    slots: Slots
    executor: Executor
    pace: Pace
    clock: Clock
    prefetched: Work | None = field(default=None, init=False)
    """The batch that was handed over before its turn."""
    _wish: Wish = field(default=Wish.NONE, init=False)
    _running: set[Batch] = field(default_factory=set, init=False)
    _batch_ended: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def __post_init__(self) -> None:
        self._slots_per_batch = slots_per_batch(self.executables, self.slots)

    @property
    def running(self) -> bool:
        """Whether a batch runs."""
        return bool(self._running)

    def rows_arrived(self) -> None:
        """Ask for a turn in the next callback, and prefetch at once if there is enough for it."""
        if self._wish is Wish.NONE:
            self._wish = Wish.SOON
            asyncio.get_running_loop().call_soon(self._ask)
        self._prefetch()

    async def drained(self) -> None:
        """Wait until no batch runs."""
        while self._running:
            self._batch_ended.clear()
            await self._batch_ended.wait()

    def _ask(self) -> None:
        if self._wish is Wish.TURN:
            return
        if not self.feed.waiting():
            self._wish = Wish.NONE
            return
        self._wish = Wish.TURN
        self.slots.ask(self._slots_per_batch, self._begin)

    def _begin(self, turn: Turn) -> None:
        self._wish = Wish.NONE
        if entries := self.feed.take():
            if not self.feed.waiting():
                turn.widen()
            self._compute(self._hand_over(entries, alone=turn.whole), turn)
        else:
            turn.end()
        self._ask()
        self._prefetch()

    def _prefetch(self) -> None:
        """Hand over one batch more than slots, if no other has a claim on the next turn.

        The worker that becomes idle first begins it, without waiting for the event loop. Others have a claim
        if another model asked for slots, or if rows of a failed batch wait for their retry.
        """
        others_wait = self.slots.waiting > (1 if self._wish is Wish.TURN else 0)
        if (
            self.prefetched is None
            and len(self._running) == self.slots.number > self._slots_per_batch
            and not others_wait
            and self.feed.enough()
            and not any(batch.retries for batch in self._running)
            and (entries := self.feed.take())
        ):
            self.prefetched = self._hand_over(entries, alone=False)

    def _hand_over(self, entries: Sequence[Entry], *, alone: bool) -> Work:
        compute = self.executables.alone if alone else self.executables.beside_others
        return Work(entries, self.executor.submit(compute, [entry.row for entry in entries]))

    def _compute(self, work: Work, turn: Turn, *, retries: Sequence[list[Entry]] = ()) -> None:
        """Give work the turn; `_end` is called when it is computed."""
        running = RunningBatch(work.tokens, turn.share, since=self.clock.now())
        batch = Batch(work, turn, running, retries)
        self._running.add(batch)
        self.pace.started(running)
        loop = asyncio.get_running_loop()
        work.computed.add_done_callback(lambda _: loop.call_soon_threadsafe(self._end, batch))

    def _end(self, batch: Batch) -> None:
        """Continue with the next batch, then answer this one's callers."""
        self._running.discard(batch)
        entries, computed = batch.work.entries, batch.work.computed
        if (error := computed.exception()) is None:
            scores, seconds = computed.result()
            self.pace.ended(batch.running, seconds=seconds)
            self._continue(batch.turn, batch.retries)
            self.feed.answer(batch, scores, seconds)
        else:
            self.pace.abandoned(batch.running)
            callers = by_caller(entries)
            if len(callers) == 1:
                self._continue(batch.turn, batch.retries)
                self.feed.fail(entries[0].call, error)
            else:
                self._continue(batch.turn, [*callers, *batch.retries])
        self._batch_ended.set()

    def _continue(self, turn: Turn, retries: Sequence[list[Entry]]) -> None:
        """Give the turn to the prefetched batch, else to the next retry, else back."""
        if self.prefetched is not None:
            work, self.prefetched = self.prefetched, None
            self._compute(work, turn, retries=retries)
            self._prefetch()
            return
        for number, entries in enumerate(retries, start=1):
            if unanswered := [entry for entry in entries if not entry.call.future.done()]:
                work = self._hand_over(unanswered, alone=turn.whole)
                self._compute(work, turn, retries=retries[number:])
                return
        turn.end()


def slots_per_batch(executables: Executables, slots: Slots) -> int:
    """Return how many slots a batch takes at least: one if the model has a stream per slot, else all."""
    return 1 if executables.streams >= slots.number else slots.number
