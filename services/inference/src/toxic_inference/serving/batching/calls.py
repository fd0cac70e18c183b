"""The batch scheduler's bookkeeping: a caller's rows, and where each stands.

Invariant: the scheduler and its queue alone change it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from toxic_inference.serving.interfaces import Float32Array, Lane, Row


@dataclass(eq=False, slots=True)
class Call:
    """One caller's rows and the future they await.

    Attributes:
        future: done once every row is scored, or one can't be.
        rows: in the caller's order.
        lane: which queue they stand in.
        submitted: when, on the scheduler's clock.
        deadline: on the same clock, when the answer is worth nothing any more; None for never.
        waiting: keys of the rows still in the queue.
        scores: by the caller's order; None where not scored yet.
        unanswered: how many are None.
    """

    future: asyncio.Future[Float32Array]
    rows: Sequence[Row]
    lane: Lane
    submitted: float
    deadline: float | None = None
    waiting: set[int] = field(default_factory=set)
    scores: list[Float32Array | None] = field(default_factory=list)
    unanswered: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a call, as it stands in the queue."""

    key: int
    call: Call
    position: int

    @property
    def row(self) -> Row:
        """The row itself."""
        return self.call.rows[self.position]

    @property
    def tokens(self) -> int:
        """How long it is."""
        return len(self.row.ids)


def by_caller(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Return the rows of each caller together."""
    callers: dict[int, list[Entry]] = {}
    for entry in entries:
        callers.setdefault(id(entry.call), []).append(entry)
    return list(callers.values())
