"""Batches of tokenised comments, grouped by length so that short comments don't pay for long ones.

Invariant: one pass yields every comment exactly once, in an order that `seed` and the pass's number fix.
"""

import math

import keras
import numpy as np
from numpy.typing import NDArray

from toxic_core.contract import ATTENTION_MASK, INPUT_IDS
from toxic_core.tokens import EncodedBatch, Int32Array, pad

MISSING_LABEL = -1.0
"""What stands for a missing label in a batch."""

_LENGTH_STEP = 8
"""Batches are padded to a multiple of this, to bound how many shapes are compiled."""

_BATCHES_A_GROUP = 50
"""Comments are sorted by length within groups of this many batches: sorting them all would make batches of
the longest comments only, sorting none of them pads each to its longest."""

Batch = tuple[dict[str, Int32Array], NDArray[np.float32]]


class LengthBatches(keras.utils.PyDataset):
    """Training batches: `({input_ids, attention_mask}, labels)`, reshuffled at every pass."""

    def __init__(
        self,
        token_ids: list[Int32Array],
        labels: NDArray[np.float32],
        *,
        batch_size: int,
        pad_id: int,
        seed: int,
    ) -> None:
        """Hold every comment's token ids, int32 [tokens], and labels, float32 [comments, labels]."""
        super().__init__()
        self._token_ids = token_ids
        self._labels = np.nan_to_num(labels, nan=MISSING_LABEL)
        self._batch_size = batch_size
        self._pad_id = pad_id
        self._seed = seed
        self._lengths = np.array([len(row) for row in token_ids])
        self._pass = 0
        self._batches = self._arrange()

    def __len__(self) -> int:
        return math.ceil(len(self._token_ids) / self._batch_size)

    def __getitem__(self, index: int) -> Batch:
        rows = self._batches[index]
        batch = pad_to_step([self._token_ids[row] for row in rows], pad_id=self._pad_id)
        inputs = {INPUT_IDS: batch.input_ids, ATTENTION_MASK: batch.attention_mask}
        return inputs, self._labels[rows]

    def on_epoch_end(self) -> None:
        """Arrange the next pass's batches."""
        self._pass += 1
        self._batches = self._arrange()

    def _arrange(self) -> list[NDArray[np.int64]]:
        generator = np.random.default_rng([self._seed, self._pass])
        order = generator.permutation(len(self._token_ids))
        group = self._batch_size * _BATCHES_A_GROUP
        by_length = [
            part[np.argsort(self._lengths[part], kind="stable")]
            for part in (order[start : start + group] for start in range(0, len(order), group))
        ]
        in_order = np.concatenate(by_length) if by_length else order
        batches = [
            in_order[start : start + self._batch_size] for start in range(0, len(in_order), self._batch_size)
        ]
        generator.shuffle(batches)
        return self._show_varying_shapes(batches)

    def _show_varying_shapes(self, batches: list[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
        """Put the smallest batch first and one of another length second, where there is one.

        Keras reads the first two to learn which dimensions vary, and refuses any batch that varies more.
        """
        first = min(range(len(batches)), key=lambda index: len(batches[index]))
        length = self._padded_length(batches[first])
        others = [index for index in range(len(batches)) if index != first]
        others.sort(key=lambda index: self._padded_length(batches[index]) == length)
        return [batches[index] for index in (first, *others)]

    def _padded_length(self, rows: NDArray[np.int64]) -> int:
        return _round_up(int(self._lengths[rows].max()))


def pad_to_step(rows: list[Int32Array], *, pad_id: int) -> EncodedBatch:
    """Pad `rows` to one length, a multiple of a fixed step."""
    return pad(rows, pad_id=pad_id, length=_round_up(max(len(row) for row in rows)))


def _round_up(length: int) -> int:
    return math.ceil(length / _LENGTH_STEP) * _LENGTH_STEP
