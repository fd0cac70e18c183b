"""Grouping rows of token ids by length, to a token budget, when all of them are known beforehand."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from toxic_core.tokens import EncodedBatch, Int32Array, pad

_LENGTH_STEP = 8
"""Batches are padded to a multiple of this, to bound how many shapes are compiled."""


def length_groups(lengths: Int32Array, *, batch_tokens: int) -> Iterator[NDArray[np.intp]]:
    """Yield the indices of rows to compute together, shortest first; every row is in exactly one group.

    Args:
        lengths: tokens of each row.
        batch_tokens: the most tokens of a batch, with every row as long as the longest; a row that is longer
            makes a batch of its own.
    """
    order = np.argsort(lengths, kind="stable")
    ascending = lengths[order].astype(np.int64)
    start = 0
    while start < len(order):
        # The longest run of rows whose number times the length of the last one is within the budget.
        counts = np.arange(1, len(order) - start + 1)
        fitting = int(np.searchsorted(counts * ascending[start:], batch_tokens, side="right"))
        end = start + max(1, fitting)
        yield order[start:end]
        start = end


def pad_to_step(rows: Sequence[Int32Array], *, pad_id: int) -> EncodedBatch:
    """Pad `rows` to one length, a multiple of a fixed step."""
    longest = max(len(row) for row in rows)
    return pad(rows, pad_id=pad_id, length=math.ceil(longest / _LENGTH_STEP) * _LENGTH_STEP)
