"""Which texts are scored together where all of them are known beforehand: by length, to a token budget.

Invariant: every text is in exactly one group, and a batch is padded by zeros in its mask.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from toxic_core.tokens import EncodedBatch, Int32Array, pad

_LENGTH_STEP = 8
"""Batches are padded to a multiple of this, to bound how many shapes are compiled."""


def length_groups(lengths: Int32Array, *, batch_tokens: int) -> Iterator[NDArray[np.intp]]:
    """Yield the places of texts to score together, the shortest first.

    Args:
        lengths: tokens of each text.
        batch_tokens: the most tokens of a batch, each text counted as long as the batch's longest; a text
            that is longer makes a batch of its own.
    """
    order = np.argsort(lengths, kind="stable")
    ascending = lengths[order].astype(np.int64)
    start = 0
    while start < len(order):
        # The longest run of texts whose number times the length of the last is within the budget.
        counts = np.arange(1, len(order) - start + 1)
        fitting = int(np.searchsorted(counts * ascending[start:], batch_tokens, side="right"))
        end = start + max(1, fitting)
        yield order[start:end]
        start = end


def pad_to_step(rows: list[Int32Array], *, pad_id: int) -> EncodedBatch:
    """Pad `rows` to one length, a multiple of a fixed step."""
    longest = max(len(row) for row in rows)
    return pad(rows, pad_id=pad_id, length=math.ceil(longest / _LENGTH_STEP) * _LENGTH_STEP)
