"""Batches of tokenised comments, grouped by length so that short comments don't pay for long ones.

Invariant: one pass yields every comment exactly once, in an order that `seed` and the pass's number fix, so
that training can go on at any step as if it had never stopped.
"""

import math

import numpy as np
from numpy.typing import NDArray

from toxic_core.contract import ATTENTION_MASK, INPUT_IDS
from toxic_core.tokens import Int32Array
from toxic_model.packing import pad_to_step

MISSING_LABEL = -1.0
"""What stands for a missing label in a batch."""

BATCHES_A_GROUP = 50
"""Comments are sorted by length within groups of this many batches: sorting them all would make batches of
the longest comments only, sorting none of them pads each to its longest."""

Inputs = dict[str, Int32Array]
Batch = tuple[Inputs, NDArray[np.float32]]


class LengthBatches:
    """Training batches: `({input_ids, attention_mask}, labels)` by step, arranged anew for every pass."""

    def __init__(
        self,
        token_ids: list[Int32Array],
        labels: NDArray[np.float32],
        *,
        batch_size: int,
        pad_id: int,
        seed: int,
        batches_a_group: int = BATCHES_A_GROUP,
    ) -> None:
        """Hold every comment's token ids, int32 [tokens], and targets, float32 [comments, targets].

        With one batch a group, batches hold comments of any length.
        """
        self._token_ids = token_ids
        self._labels = np.nan_to_num(labels, nan=MISSING_LABEL)
        self._batch_size = batch_size
        self._pad_id = pad_id
        self._seed = seed
        self._group = batch_size * batches_a_group
        self._lengths = np.array([len(row) for row in token_ids])
        self._pass = 0
        self._batches = self._arrange()

    @property
    def steps_a_pass(self) -> int:
        """Batches that hold every comment once."""
        return math.ceil(len(self._token_ids) / self._batch_size)

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, counted from 0 over all passes."""
        number, index = divmod(step, self.steps_a_pass)
        if number != self._pass:
            self._pass = number
            self._batches = self._arrange()
        rows = self._batches[index]
        return model_inputs([self._token_ids[row] for row in rows], pad_id=self._pad_id), self._labels[rows]

    def _arrange(self) -> list[NDArray[np.int64]]:
        generator = np.random.default_rng([self._seed, self._pass])
        order = generator.permutation(len(self._token_ids))
        by_length = [
            part[np.argsort(self._lengths[part], kind="stable")]
            for part in (order[start : start + self._group] for start in range(0, len(order), self._group))
        ]
        in_order = np.concatenate(by_length) if by_length else order
        batches = [
            in_order[start : start + self._batch_size] for start in range(0, len(in_order), self._batch_size)
        ]
        generator.shuffle(batches)
        return batches


def model_inputs(rows: list[Int32Array], *, pad_id: int) -> Inputs:
    """Return `rows`, padded to a multiple of a fixed step, as the classifier takes them."""
    batch = pad_to_step(rows, pad_id=pad_id)
    return {INPUT_IDS: batch.input_ids, ATTENTION_MASK: batch.attention_mask}
