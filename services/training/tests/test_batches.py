import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toxic_core.contract import ATTENTION_MASK, INPUT_IDS
from toxic_training.modelling.batches import LengthBatches

pytestmark = pytest.mark.slow


def _batches(lengths: list[int], batch_size: int = 4) -> LengthBatches:
    rows = [np.full(length, index + 10, dtype=np.int32) for index, length in enumerate(lengths)]
    labels = np.arange(len(lengths), dtype=np.float32)[:, None].repeat(6, axis=1)
    return LengthBatches(rows, labels, batch_size=batch_size, pad_id=1, seed=3)


def _rows_in_order(batches: LengthBatches, number: int = 0) -> list[int]:
    start = number * batches.steps_per_epoch
    steps = range(start, start + batches.steps_per_epoch)
    return [int(row) for step in steps for row in batches.batch(step)[1][:, 0]]


@given(st.lists(st.integers(2, 40), min_size=1, max_size=300))
def test_an_epoch_contains_every_comment_once(lengths: list[int]) -> None:
    """Bucketing by length neither loses nor repeats a comment, in this epoch or the next."""
    batches = _batches(lengths)
    assert sorted(_rows_in_order(batches)) == list(range(len(lengths)))
    assert sorted(_rows_in_order(batches, 1)) == list(range(len(lengths)))


def test_padding_is_masked_and_labels_follow_their_comment() -> None:
    """A padded position has the padding id and mask 0; a row's labels are its own."""
    inputs, labels, weights = _batches([3, 5, 9, 2]).batch(0)
    assert weights.tolist() == [1, 1, 1, 1]
    assert inputs[INPUT_IDS].shape == (4, 16)
    assert (inputs[INPUT_IDS] == 1).tolist() == (inputs[ATTENTION_MASK] == 0).tolist()
    assert (inputs[INPUT_IDS][:, 0] - 10).tolist() == labels[:, 0].tolist()


def test_epochs_differ_and_repeat_with_the_seed() -> None:
    """Each epoch has its own order, and the same seed gives the same orders again."""
    first, again = _batches(list(range(2, 60))), _batches(list(range(2, 60)))
    order = _rows_in_order(first)
    assert _rows_in_order(first, 1) != order
    assert _rows_in_order(again, 1) == _rows_in_order(first, 1), "a pass is the same, whatever came before"
    assert _rows_in_order(again) == order


def test_exchanged_comments_occur_twice_or_never() -> None:
    """The hardest replace the easiest; comments without a hardness stay; a second exchange starts anew."""
    batches = _batches(list(range(2, 12)), batch_size=4)
    hardness = np.array([0.1, 0.9, np.nan, 0.5, 0.2, 0.8, 0.3, np.nan, 0.4, 0.6], np.float32)
    batches.exchange(hardness, 0.25)
    assert sorted(_rows_in_order(batches, 1)) == [1, 1, 2, 3, 5, 5, 6, 7, 8, 9]
    batches.exchange(hardness[::-1].copy(), 0.25)
    assert sorted(_rows_in_order(batches, 2)) == [0, 1, 2, 3, 4, 4, 6, 7, 8, 8]


def test_bucketing_needs_little_padding() -> None:
    """Most positions of a batch are tokens, although lengths vary twenty-fold."""
    lengths = np.random.default_rng(1).integers(8, 160, 3200).tolist()
    batches = _batches(lengths, batch_size=32)
    positions = sum(batches.batch(step)[0][INPUT_IDS].size for step in range(batches.steps_per_epoch))
    assert sum(lengths) / positions > 0.93
