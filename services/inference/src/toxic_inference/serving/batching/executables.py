"""A model's executables, called from worker threads with the rows of a batch."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from queue import SimpleQueue

import numpy as np

from toxic_core.tokens import EncodedBatch, pad
from toxic_inference.serving.batching.shapes import Shape, Shapes, frequent_shapes
from toxic_inference.serving.clock import Clock
from toxic_inference.serving.errors import InferenceError
from toxic_inference.serving.interfaces import Row
from toxic_model.loaded import Float32Array, Infer

Computed = tuple[Float32Array, float]
"""Raw scores, float32 [rows, labels], and the seconds that the model took."""


class Executables:
    """Computes rows with all threads, or beside other batches with a share of them. Thread-safe.

    Seconds are measured on the worker thread: seen from a busy event loop, every model would be slow.

    Args:
        whole: computes a batch with all threads.
        streams: compute one batch each at the same time; empty if the model computes one batch at a time.
        pad_id: token id that fills a batch.
        clock: measures the seconds.
        shapes: most shapes of batches that an executable is compiled for; 0 to pad no batch to another shape.
    """

    def __init__(
        self, whole: Infer, streams: Sequence[Infer], *, pad_id: int, clock: Clock, shapes: int = 0
    ) -> None:
        self._whole = (whole, Shapes(shapes))
        self._each = [self._whole, *((stream, Shapes(shapes)) for stream in streams)]
        self.streams = len(streams)
        self._idle: SimpleQueue[tuple[Infer, Shapes]] = SimpleQueue()
        for stream in self._each[1:]:
            self._idle.put(stream)
        self._pad_id = pad_id
        self._clock = clock
        self._shapes = shapes
        self._compiled: SimpleQueue[None] = SimpleQueue()

    def take_compiled(self) -> int:
        """Return how many shapes were compiled since the last call."""
        taken = self._compiled.qsize()
        for _ in range(taken):
            self._compiled.get()
        return taken

    def warm_ups(self, *, budget: int, longest: int) -> list[Callable[[], Computed]]:
        """Return calls that compile each executable for frequent shapes; none may run beside a batch.

        Args:
            budget: most tokens in a batch.
            longest: most tokens in a row.
        """
        shapes = list(islice(frequent_shapes(budget=budget, longest=longest), self._shapes * 3 // 4))
        return [
            partial(
                self._compute, [Row(ids=np.full(tokens, self._pad_id, dtype=np.int32))] * rows, executable
            )
            for rows, tokens in shapes
            for executable in self._each
        ]

    def alone(self, rows: Sequence[Row]) -> Computed:
        """Compute rows with all threads; no other batch may run at the same time. Blocks.

        Raises:
            InvalidTensorError: the model refuses these rows.
            InferenceError: the model's answer has another number of rows.
        """
        return self._compute(rows, self._whole)

    def beside_others(self, rows: Sequence[Row]) -> Computed:
        """Compute rows on an idle stream, or the next one that becomes idle. Blocks; raises as `alone`."""
        stream = self._idle.get()
        try:
            return self._compute(rows, stream)
        finally:
            self._idle.put(stream)

    def _compute(self, rows: Sequence[Row], executable: tuple[Infer, Shapes]) -> Computed:
        infer, shapes = executable
        shape, is_new = shapes.fit(len(rows), max(len(row.ids) for row in rows))
        if is_new:
            self._compiled.put(None)
        batch = assemble(rows, pad_id=self._pad_id, shape=shape)
        began = self._clock.now()
        scores = infer(batch)
        seconds = self._clock.now() - began
        if len(scores) != shape[0]:
            raise InferenceError(f"The model returned {len(scores)} rows of scores for {shape[0]} rows.")
        return scores[: len(rows)], seconds


def assemble(rows: Sequence[Row], *, pad_id: int, shape: Shape | None = None) -> EncodedBatch:
    """Return rows as one batch; the mask is 0 for padding and masked tokens.

    Args:
        rows: not empty.
        pad_id: token id of padding.
        shape: of the batch; by default so many rows, as long as the longest. Rows beyond the given ones
            consist of one token, because a model can't compute a row without any.
    """
    number, length = shape or (len(rows), max(len(row.ids) for row in rows))
    filler = [np.full(1, pad_id, dtype=np.int32)] * (number - len(rows))
    batch = pad([*(row.ids for row in rows), *filler], pad_id=pad_id, length=length)
    for index, row in enumerate(rows):
        if row.mask is not None:
            batch.attention_mask[index, : len(row.mask)] = row.mask
    return batch
