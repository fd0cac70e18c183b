import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from toxic_model.packing import length_groups, pad_to_step


@given(st.lists(st.integers(1, 50), max_size=80), st.integers(1, 200))
def test_every_text_is_in_one_batch_within_the_budget(lengths: list[int], budget: int) -> None:
    """Each is scored once; only a text that is longer than the budget makes a larger batch, on its own."""
    groups = [group.tolist() for group in length_groups(np.array(lengths, np.int32), batch_tokens=budget)]
    assert sorted(place for group in groups for place in group) == list(range(len(lengths)))
    for group in groups:
        longest = max(lengths[place] for place in group)
        assert len(group) * longest <= budget or len(group) == 1


def test_batches_are_of_like_length() -> None:
    """Short texts aren't padded to the length of long ones."""
    groups = length_groups(np.array([40, 2, 3, 40, 2], np.int32), batch_tokens=80)
    assert [group.tolist() for group in groups] == [[1, 4, 2], [0, 3]]


def test_a_batch_is_padded_to_a_step() -> None:
    """Lengths fall into few shapes, and padding is masked."""
    batch = pad_to_step([np.arange(3, dtype=np.int32), np.arange(9, dtype=np.int32)], pad_id=7)
    assert batch.input_ids.shape == (2, 16)
    assert batch.input_ids[0].tolist() == [0, 1, 2, *[7] * 13]
    assert batch.attention_mask.sum(axis=1).tolist() == [3, 9]
