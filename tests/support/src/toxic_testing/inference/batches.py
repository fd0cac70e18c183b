"""A model without a runtime, and calls to a batch scheduler that a test drives by hand."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import numpy as np

from toxic_core.tokens import EncodedBatch
from toxic_inference.serving.batching.executables import Executables
from toxic_inference.serving.batching.scheduler import BatchScheduler, SchedulerResources
from toxic_inference.serving.interfaces import Lane, Row
from toxic_model.errors import InvalidTensorError
from toxic_model.loaded import Float32Array
from toxic_testing.inference.fakes import HeldExecutor, ManualClock

Turn = Callable[[Callable[[], bool]], Awaitable[None]]
"""Lets the event loop turn until a condition holds."""

REFUSED_ID, NAN_ID, CRASHING_ID = 13, 66, 99
_LABELS = 6


class SummingModel:
    """Scores a row by the sum of its unmasked ids; refuses id 13, returns NaN for id 66, crashes at id 99.

    Args:
        clock: advanced by every batch.
        streams: how many batches it computes at the same time; 0 for one with the whole machine.

    Attributes:
        seconds: that each batch takes, on the test's clock.
        batches: that were computed.
        alone: of each batch, whether it had the whole machine.
    """

    def __init__(self, clock: ManualClock, *, streams: int = 0) -> None:
        self.batches: list[EncodedBatch] = []
        self.alone: list[bool] = []
        self.seconds = 0.0
        self._streams = streams
        self._clock = clock

    @property
    def executables(self) -> Executables:
        """The model, as a scheduler takes it."""
        return Executables(self.whole, [self.beside] * self._streams, pad_id=0, clock=self._clock)

    def whole(self, batch: EncodedBatch) -> Float32Array:
        """Return float32 [batch, 6], computed with the whole machine."""
        return self._infer(batch, alone=True)

    def beside(self, batch: EncodedBatch) -> Float32Array:
        """Return float32 [batch, 6], computed beside other batches."""
        return self._infer(batch, alone=False)

    def _infer(self, batch: EncodedBatch, *, alone: bool) -> Float32Array:
        self.batches.append(batch)
        self.alone.append(alone)
        self._clock.advance(self.seconds)
        if (batch.input_ids == REFUSED_ID).any():
            raise InvalidTensorError("13 isn't in the vocabulary")
        if (batch.input_ids == CRASHING_ID).any():
            raise MemoryError
        sums = (batch.input_ids * batch.attention_mask).sum(axis=1).astype(np.float32)
        sums[(batch.input_ids == NAN_ID).any(axis=1)] = np.nan
        return np.repeat(sums[:, np.newaxis], _LABELS, axis=1)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Every batch's shape."""
        return [batch.input_ids.shape for batch in self.batches]


def make_scheduler(model: SummingModel, resources: SchedulerResources) -> BatchScheduler:
    """Return a scheduler of this model."""
    return BatchScheduler(model.executables, version="1", resources=resources)


def row(*ids: int, mask: Sequence[int] | None = None) -> Row:
    """Return a row of these ids."""
    return Row(
        ids=np.array(ids, dtype=np.int32),
        mask=None if mask is None else np.array(mask, dtype=np.int32),
    )


def submit(
    scheduler: BatchScheduler, *rows: Row, lane: Lane = Lane.INTERACTIVE, deadline: float | None = None
) -> "asyncio.Future[Float32Array]":
    """Start a call."""
    return asyncio.ensure_future(scheduler.submit(rows, lane=lane, deadline=deadline))


async def run_batches(executor: HeldExecutor, turn: Turn, *, until: Callable[[], bool]) -> None:
    """Let batches run until a condition holds."""
    while not until():
        await turn(lambda: bool(executor.held) or until())
        if executor.held:
            executor.release()
        await asyncio.sleep(0)
