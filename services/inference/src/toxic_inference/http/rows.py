"""Rows of tokens in a request.

Invariant: the model can read every row that `row_of` returns: its ids are not negative, its mask consists of
0 and 1 and has a 1, and it is no longer than the model's longest input.
"""

import numpy as np

from toxic_core.contract import ATTENTION_MASK
from toxic_core.tokens import Int32Array
from toxic_inference.http.backend import Limits
from toxic_inference.http.body import MOST_VALUES
from toxic_inference.serving.interfaces import Row
from toxic_model.errors import InvalidTensorError

_LONGEST_ROW = 1_024
"""Tokens in a row, for the number of values in a request: more than models read."""


def most_token_values(limits: Limits) -> int:
    """Return the most values in the JSON of a request with ids and masks of the most rows."""
    return 2 * limits.texts * _LONGEST_ROW + MOST_VALUES


def row_of(ids: Int32Array, mask: Int32Array, *, field: str, max_tokens: int) -> Row:
    """Return a row without the padding at its end: the scheduler pads for its own batch.

    Args:
        ids: token ids, int32 [length].
        mask: attention mask, int32 [length].
        field: the row, for error messages.
        max_tokens: the longest row that the model reads.

    Raises:
        InvalidTensorError: the model can't read it.
    """
    if len(ids) != len(mask):
        raise InvalidTensorError(f"{field} has {len(ids)} ids, but {len(mask)} mask values.")
    if not np.isin(mask, (0, 1)).all() or not mask.any():
        raise InvalidTensorError(f"{field}: {ATTENTION_MASK} must consist of 0 and 1, with at least one 1.")
    length = int(np.flatnonzero(mask)[-1]) + 1
    if length > max_tokens:
        raise InvalidTensorError(f"{field} has {length} tokens; the model reads {max_tokens}.")
    if (ids[:length] < 0).any():
        raise InvalidTensorError(f"{field} has a negative token id.")
    inner = mask[:length]
    return Row(ids=ids[:length], mask=None if inner.all() else inner)
