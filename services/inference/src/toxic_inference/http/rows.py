"""Rows of tokens that came in a request.

Invariant: a row that comes out can be given to the model: its ids aren't negative, its mask is of 0 and 1 and
has a 1, and it is no longer than the model reads.
"""

import numpy as np

from toxic_core.contract import ATTENTION_MASK
from toxic_core.tokens import Int32Array
from toxic_inference.serving.interfaces import Row
from toxic_model.errors import InvalidTensorError


def row_of(ids: Int32Array, mask: Int32Array, *, where: str, max_tokens: int) -> Row:
    """Return a row without the padding at its end: the scheduler pads for its own batch.

    Args:
        ids: token ids, int32 [length].
        mask: attention mask, int32 [length].
        where: what the row is called in messages.
        max_tokens: the longest row that the model reads.

    Raises:
        InvalidTensorError: the model can't take it.
    """
    if len(ids) != len(mask):
        raise InvalidTensorError(f"{where} has {len(ids)} ids, but {len(mask)} mask values.")
    if not np.isin(mask, (0, 1)).all() or not mask.any():
        raise InvalidTensorError(f"{where}: {ATTENTION_MASK} must be of 0 and 1, with at least one 1.")
    length = int(np.flatnonzero(mask)[-1]) + 1
    if length > max_tokens:
        raise InvalidTensorError(f"{where} has {length} tokens; the model reads {max_tokens}.")
    if (ids[:length] < 0).any():
        raise InvalidTensorError(f"{where} has a negative token id.")
    inner = mask[:length]
    return Row(ids=ids[:length], mask=None if inner.all() else inner)
