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

    def overload(self, rows: int, *, ahead_rows: int, ahead_tokens: int) -> OverloadedError | None:
        """Return the refusal that interactive rows would get now; None if they would be admitted.

        Args:
            rows: how many want to join.
            ahead_rows: rows that left the queue, but for which no processor is free yet.
            ahead_tokens: their tokens.
        """
        waiting = self.queue.tokens(Lane.INTERACTIVE) + ahead_tokens
        seconds = self.pace.seconds_until(waiting_tokens=waiting, now=self.clock.now()) if waiting else 0.0
        if self._has_room(rows, Lane.INTERACTIVE) and seconds <= self.limits.queue_seconds:
            return None
        return OverloadedError(
            f"{self.queue.rows(Lane.INTERACTIVE) + ahead_rows:,} rows are waiting, which takes about "
            f"{seconds:.1f} s; ask again after that.",
            retry_after_seconds=seconds,
        )

    async def wait_for_room(self, rows: int) -> None:
        """Wait until bulk rows may join, or until `close`."""
        while not (self.closed or self._has_room(rows, Lane.BULK)):
            self._changed.clear()
            await self._changed.wait()

    def queue_shrank(self) -> None:
        """Let those who wait for room check again."""
        self._changed.set()

    def close(self) -> None:
        """End every wait for room."""
        self.closed = True
        self._changed.set()

    def _has_room(self, rows: int, lane: Lane) -> bool:
        waiting = self.queue.rows(lane)
        # A call larger than the queue is admitted alone, or it would wait for ever.
        return waiting == 0 or waiting + rows <= self.limits.queue_rows
