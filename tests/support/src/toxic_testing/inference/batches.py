"""A model without a runtime, and calls to a batch scheduler that a test drives by hand."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import numpy as np

from toxic_core.labels import LABELS
from toxic_core.tokens import EncodedBatch
from toxic_inference.serving.batching.scheduler import BatchScheduler
from toxic_inference.serving.interfaces import Float32Array, Lane, Row
from toxic_model.errors import InvalidTensorError
from toxic_testing.inference.fakes import HeldExecutor, ManualClock

Turn = Callable[[Callable[[], bool]], Awaitable[None]]
"""Lets the event loop turn until a condition holds."""


REFUSED_ID, NAN_ID, CRASHING_ID = 13, 66, 99


class SummingModel:
    """Scores a row by the sum of its unmasked ids; refuses id 13, answers NaN for id 66, crashes at id 99.

    Attributes:
        seconds: that each batch takes, on the test's clock.
        side_by_side: whether it computes batches at the same time.
        alone: of each batch, whether it had the machine for itself.
    """

    def __init__(self, clock: ManualClock) -> None:
        self.batches: list[EncodedBatch] = []
        self.side_by_side = False
        self.alone: list[bool] = []
        self.seconds = 0.0
        self._clock = clock

    def infer(self, batch: EncodedBatch, *, alone: bool) -> Float32Array:
        """Return float32 [batch, 6]."""
        self.batches.append(batch)
        self.alone.append(alone)
        self._clock.advance(self.seconds)
        if (batch.input_ids == REFUSED_ID).any():
            raise InvalidTensorError("13 isn't in the vocabulary")
        if (batch.input_ids == CRASHING_ID).any():
            raise MemoryError
        sums = (batch.input_ids * batch.attention_mask).sum(axis=1).astype(np.float32)
        sums[(batch.input_ids == NAN_ID).any(axis=1)] = np.nan
        return np.repeat(sums[:, np.newaxis], len(LABELS), axis=1)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Every batch's shape."""
        return [batch.input_ids.shape for batch in self.batches]


def row(*ids: int, mask: Sequence[int] | None = None) -> Row:
    """Return a row of these ids."""
    return Row(
        ids=np.array(ids, dtype=np.int32),
        mask=None if mask is None else np.array(mask, dtype=np.int32),
    )


def submit(
    scheduler: BatchScheduler, *rows: Row, lane: Lane = Lane.INTERACTIVE
) -> "asyncio.Future[Float32Array]":
    """Start a call."""
    return asyncio.ensure_future(scheduler.submit(rows, lane=lane))


async def run_batches(executor: HeldExecutor, turn: Turn, *, until: Callable[[], bool]) -> None:
    """Let batches run until a condition holds."""
    while not until():
        await turn(lambda: bool(executor.held) or until())
        if executor.held:
            executor.release()
        await asyncio.sleep(0)
