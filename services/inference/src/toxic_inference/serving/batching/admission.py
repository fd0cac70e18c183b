"""Admission to the queue: refuses interactive rows in overload, and lets bulk rows wait for room.

Invariant: what an empty queue takes is never refused, however slow the model is.
"""

import asyncio
from dataclasses import KW_ONLY, dataclass, field

from toxic_core.errors import OverloadedError
from toxic_inference.serving.batching.pace import Pace
from toxic_inference.serving.batching.row_queue import RowQueue
from toxic_inference.serving.clock import Clock
from toxic_inference.serving.interfaces import Lane


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How much a scheduler takes.

    Attributes:
        token_budget: most tokens in a batch, padding included; a longer row runs alone.
        queue_rows: most interactive rows that wait, and as many bulk rows.
        queue_seconds: longest expected wait of an interactive row.
    """

    token_budget: int
    queue_rows: int
    queue_seconds: float


@dataclass(eq=False)
class Admission:
    """Decides which rows may join a queue.

    Attributes:
        limits: how much may wait.
        queue: what waits.
        pace: estimates how long it takes.
        clock: for the estimate.
    """

    limits: BatchLimits
    _: KW_ONLY
    queue: RowQueue
    pace: Pace
    clock: Clock
    closed: bool = field(default=False, init=False)
    _changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def overload(
        self, rows: int, *, caller: str | None = None, ahead_rows: int, ahead_tokens: int
    ) -> OverloadedError | None:
        """Return the refusal that interactive rows would get now; None if they would be admitted.

        Args:
            rows: how many want to join.
            caller: who sends them; None for one that waits for all others.
            ahead_rows: rows that left the queue, but for which no processor is free yet.
            ahead_tokens: their tokens.
        """
        queue, lane = self.queue, Lane.INTERACTIVE
        waiting = ahead_tokens
        if caller is None:
            waiting += queue.tokens(lane)
        else:
            waiting += queue.tokens_before(caller, lane, budget=self.limits.token_budget)
        seconds = self.pace.seconds_until(waiting_tokens=waiting, now=self.clock.now()) if waiting else 0.0
        if self._has_room(rows, lane, caller) and seconds <= self.limits.queue_seconds:
            return None
        return OverloadedError(
            f"{queue.rows(lane) + ahead_rows:,} rows are waiting, which takes about "
            f"{seconds:.1f} s; ask again after that.",
            retry_after_seconds=seconds,
        )

    async def wait_for_room(self, rows: int, *, caller: str = "") -> None:
        """Wait until bulk rows may join, or until `close`."""
        while not (self.closed or self._has_room(rows, Lane.BULK, caller)):
            self._changed.clear()
            await self._changed.wait()

    def queue_shrank(self) -> None:
        """Let those who wait for room check again."""
        self._changed.set()

    def close(self) -> None:
        """End every wait for room."""
        self.closed = True
        self._changed.set()

    def _has_room(self, rows: int, lane: Lane, caller: str | None) -> bool:
        waiting, most = self.queue.rows(lane), self.limits.queue_rows
        # A call larger than the queue is admitted alone, or it would wait for ever.
        if waiting == 0 or waiting + rows <= most:
            return True
        if caller is None:
            return False
        own = self.queue.rows_of(caller, lane)
        if lane is Lane.BULK and not own:
            return True
        rivals = self.queue.callers(lane) - (own > 0)
        # A caller with most of the queue leaves the others their shares.
        return own + rows <= most // (rivals + 1)
