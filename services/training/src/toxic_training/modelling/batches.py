"""Batches of tokenised comments of similar length, so that short comments need little padding.

Invariant: an epoch contains every comment exactly once, but for those that were exchanged, in an order that
the seed and the epoch's number determine, so that training can resume at any step with the same result.
"""

import math

import numpy as np
from numpy.typing import NDArray

from toxic_core.contract import ATTENTION_MASK, INPUT_IDS
from toxic_core.tokens import Int32Array
from toxic_model.packing import pad_to_step

MISSING_LABEL = -1.0
"""The value of a missing label in a batch."""

GROUP_BATCHES = 50
"""Comments are sorted by length within groups of this many batches. Sorting all of them would make batches of
only the longest comments; sorting none (1) would pad every batch to its longest comment."""

Inputs = dict[str, Int32Array]
Batch = tuple[Inputs, NDArray[np.float32], NDArray[np.float32]]


class LengthBatches:
    """Training batches `({input_ids, attention_mask}, targets, weights)` by step, rearranged for every epoch.

    `token_ids` are int32 [tokens] for each comment; `targets` float32 [comments, targets], NaN if missing;
    `weights` float32 [comments], 1 by default. `rows` are the comments of an epoch, int64 [comments].
    """

    def __init__(
        self,
        token_ids: list[Int32Array],
        targets: NDArray[np.float32],
        *,
        batch_size: int,
        pad_id: int,
        seed: int,
        weights: NDArray[np.float32] | None = None,
        group_batches: int = GROUP_BATCHES,
    ) -> None:
        self.token_ids = token_ids
        self.targets = np.nan_to_num(targets, nan=MISSING_LABEL)
        self._weights = np.ones(len(token_ids), np.float32) if weights is None else weights
        self.batch_size = batch_size
        self.pad_id = pad_id
        self._seed = seed
        self._group = batch_size * group_batches
        self._lengths = np.array([len(row) for row in token_ids])
        self.rows = np.arange(len(token_ids))
        self._epoch = 0
        self._batches = self._arrange()

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches per epoch."""
        return math.ceil(len(self.token_ids) / self.batch_size)

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, counted from 0 over all epochs."""
        epoch, index = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch = epoch
            self._batches = self._arrange()
        rows = self._batches[index]
        inputs = model_inputs([self.token_ids[row] for row in rows], pad_id=self.pad_id)
        return inputs, self.targets[rows], self._weights[rows]

    def exchange(self, hardness: NDArray[np.float32], share: float) -> None:
        """Let later epochs contain the hardest comments twice, in place of as many of the easiest.

        Args:
            hardness: float32 [comments]; NaN for comments that stay.
            share: of the comments that have a hardness, up to a half.
        """
        ranked = np.argsort(hardness, kind="stable")[: np.count_nonzero(~np.isnan(hardness))]
        count = int(len(ranked) * share)
        self.rows = np.arange(len(hardness))
        self.rows[ranked[:count]] = ranked[len(ranked) - count :]

    def _arrange(self) -> list[NDArray[np.int64]]:
        generator = np.random.default_rng([self._seed, self._epoch])
        order = self.rows[generator.permutation(len(self.rows))]
        by_length = [
            part[np.argsort(self._lengths[part], kind="stable")]
            for part in (order[start : start + self._group] for start in range(0, len(order), self._group))
        ]
        rows = np.concatenate(by_length) if by_length else order
        batches = [rows[start : start + self.batch_size] for start in range(0, len(rows), self.batch_size)]
        generator.shuffle(batches)
        return batches


def model_inputs(rows: list[Int32Array], *, pad_id: int) -> Inputs:
    """Return the classifier's inputs: `rows`, padded to a multiple of a fixed step."""
    batch = pad_to_step(rows, pad_id=pad_id)
    return {INPUT_IDS: batch.input_ids, ATTENTION_MASK: batch.attention_mask}
