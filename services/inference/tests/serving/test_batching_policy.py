from hypothesis import given
from hypothesis import strategies as st

from toxic_inference.serving.batching.policy import nearest_lengths


@given(st.lists(st.integers(1, 512), min_size=1, max_size=80), st.integers(1, 2048))
def test_chosen_batches_fit_and_hold_the_oldest(lengths: list[int], budget: int) -> None:
    """Every batch holds the oldest row, no row twice, and fits the budget unless a row runs alone."""
    batch = nearest_lengths(lengths, budget=budget)
    assert 0 in batch
    assert len(set(batch)) == len(batch)
    longest = max(lengths[index] for index in batch)
    shortest = min(lengths[index] for index in batch)
    assert len(batch) == 1 or len(batch) * longest <= budget
    assert longest <= max(2 * shortest, 16)


@given(st.lists(st.integers(1, 512), min_size=1, max_size=80), st.integers(1, 2048))
def test_chosen_batches_can_hold_no_more(lengths: list[int], budget: int) -> None:
    """No row that is left out is of a length between those chosen while there was still room for it."""
    batch = nearest_lengths(lengths, budget=budget)
    chosen = [lengths[index] for index in batch]
    if (len(batch) + 1) * max(chosen) <= budget:
        left = [length for index, length in enumerate(lengths) if index not in batch]
        assert not any(min(chosen) <= length <= max(chosen) for length in left)
