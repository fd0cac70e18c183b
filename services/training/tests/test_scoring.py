import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from toxic_training.scoring.texts import median_comment


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30))
def test_the_median_comment_has_the_median_length(lengths: list[int]) -> None:
    """Of an even number, the shorter of the two in the middle."""
    assert lengths[median_comment(np.array(lengths, np.int32))] == sorted(lengths)[(len(lengths) - 1) // 2]
