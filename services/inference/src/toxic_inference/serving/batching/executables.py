"""A model's executables, called from worker threads with the rows of a batch."""

from collections.abc import Sequence
from queue import SimpleQueue

from toxic_core.tokens import EncodedBatch, pad
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
    """

    def __init__(self, whole: Infer, streams: Sequence[Infer], *, pad_id: int, clock: Clock) -> None:
        self._whole = whole
        self.streams = len(streams)
        self._idle: SimpleQueue[Infer] = SimpleQueue()
        for stream in streams:
            self._idle.put(stream)
        self._pad_id = pad_id
        self._clock = clock

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

    def _compute(self, rows: Sequence[Row], infer: Infer) -> Computed:
        batch = assemble(rows, pad_id=self._pad_id)
        began = self._clock.now()
        scores = infer(batch)
        seconds = self._clock.now() - began
        if len(scores) != len(rows):
            raise InferenceError(f"The model returned {len(scores)} rows of scores for {len(rows)} rows.")
        return scores, seconds


def assemble(rows: Sequence[Row], *, pad_id: int) -> EncodedBatch:
    """Return rows as one batch, padded to the longest; the mask is 0 for padding and masked tokens."""
    batch = pad([row.ids for row in rows], pad_id=pad_id)
    for index, row in enumerate(rows):
        if row.mask is not None:
            batch.attention_mask[index, : len(row.mask)] = row.mask
    return batch
