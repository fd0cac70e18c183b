"""The shapes of batches, rows by tokens, that an executable has kernels for.

OpenVINO compiles kernels for every new shape: milliseconds and megabytes for each. A batch therefore uses a
compiled shape that is little larger, if there is one.

Invariant: a batch grows by an eighth at most, or to `_FREE` tokens; at most `limit` shapes count as compiled,
and the least recently used one is forgotten first. Used by one thread at a time.
"""

from collections import OrderedDict
from collections.abc import Iterator

Shape = tuple[int, int]
"""Rows and tokens of a batch."""

_PADDING = 1.125
_FREE = 64
"""Below so many tokens a batch costs as much as one of so many: the time to read the weights."""
_STEP = 8
_WARM_TOKENS = 512
"""A larger batch takes so long that its kernels cost little in comparison."""


class Shapes:
    """The compiled shapes of one executable.

    Args:
        limit: most shapes that it keeps; 0 to compute every batch in its own.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._compiled: OrderedDict[Shape, None] = OrderedDict()

    def fit(self, rows: int, tokens: int) -> tuple[Shape, bool]:
        """Return the shape to compute a batch in, and whether it is compiled for it."""
        if not self._limit:
            return (rows, tokens), False
        most = max(_PADDING * rows * tokens, _FREE)
        fitting = (
            (each[0] * each[1], each)
            for each in self._compiled
            if each[0] >= rows and each[1] >= tokens and each[0] * each[1] <= most
        )
        _, shape = min(fitting, default=(0, (rows, tokens)))
        is_new = shape not in self._compiled
        self._compiled[shape] = None
        self._compiled.move_to_end(shape)
        while len(self._compiled) > self._limit:
            self._compiled.popitem(last=False)
        return shape, is_new


def frequent_shapes(*, budget: int, longest: int) -> Iterator[Shape]:
    """Yield the shapes to compile before batches need them: few rows first, shorter ones first.

    Args:
        budget: most tokens in a batch.
        longest: most tokens in a row.
    """
    lengths = [_STEP]
    while lengths[-1] < longest:
        # Steps of an eighth, so that a shape fits all that is between it and the one below.
        step = max(_STEP, 1 << max(lengths[-1].bit_length() - 4, 0))
        lengths.append(min(lengths[-1] + step, longest))
    rows = 1
    while rows * _STEP <= min(budget, _WARM_TOKENS):
        yield from ((rows, length) for length in lengths if rows * length <= min(budget, _WARM_TOKENS))
        rows += max(1, rows // 2)
