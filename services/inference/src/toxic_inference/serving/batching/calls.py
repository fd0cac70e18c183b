"""A caller's rows, and what became of each.

Invariant: a call's future is completed once. Used from the event loop's thread only.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from toxic_core.errors import ToxicError
from toxic_inference.serving.errors import InferenceError
from toxic_inference.serving.interfaces import Lane, Row
from toxic_model.loaded import Float32Array


@dataclass(eq=False, slots=True)
class Call:
    """One caller's rows, and the future that the caller awaits.

    Attributes:
        future: completed when every row is scored, or one can't be.
        rows: in the caller's order.
        lane: the lane of the queue.
        caller: who shares the model with others.
        submitted: when, on the scheduler's clock.
        batch_tokens: most tokens in a batch while no other call's rows wait in its lane.
        deadline: when the answer becomes worthless, on the same clock; None for never.
        trace: the traced request that it belongs to; None for others.
        waiting: keys of the rows still in the queue.
        scores: in the caller's order; None for rows without scores yet.
        unanswered: how many are None.
    """

    future: asyncio.Future[Float32Array]
    rows: Sequence[Row]
    lane: Lane
    submitted: float
    batch_tokens: int
    caller: str = ""
    deadline: float | None = None
    trace: object | None = None
    waiting: set[int] = field(default_factory=set)
    scores: list[Float32Array | None] = field(default_factory=list)
    unanswered: int = 0

    def __post_init__(self) -> None:
        self.scores = [None] * len(self.rows)
        self.unanswered = len(self.rows)

    def answer(self, position: int, scores: Float32Array) -> None:
        """Take one row's scores, unless the future is done; the last ones complete it."""
        if self.future.done():
            return
        self.scores[position] = scores
        self.unanswered -= 1
        if self.unanswered == 0:
            self.future.set_result(np.stack([row for row in self.scores if row is not None]))

    def fail(self, error: BaseException) -> None:
        """Complete the future with an error, if it isn't completed already."""
        if self.future.done():
            return
        if not isinstance(error, ToxicError):
            wrapped = InferenceError(f"The model failed on this input: {type(error).__name__}.")
            wrapped.__cause__ = error
            error = wrapped
        self.future.set_exception(error)


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a call, as a member of the queue or of a batch; `tokens` is its length."""

    key: int
    call: Call
    position: int
    tokens: int

    @property
    def row(self) -> Row:
        """The row itself."""
        return self.call.rows[self.position]


def by_caller(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Return the entries grouped by call, in order."""
    callers: dict[int, list[Entry]] = {}
    for entry in entries:
        callers.setdefault(id(entry.call), []).append(entry)
    return list(callers.values())
