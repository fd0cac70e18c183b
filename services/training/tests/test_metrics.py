import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from toxic_training.metrics import Floats, Interval, auc_interval, has_both_classes, operating_threshold

Rows = tuple[Floats, Floats]

TRUTH_AND_SCORES = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5000001, 0.9, 1.0])),
    min_size=2,
    max_size=60,
).map(lambda rows: (np.array([float(t) for t, _ in rows]), np.array([s for _, s in rows])))


@given(TRUTH_AND_SCORES)
def test_interval_holds_scikit_learns_auc(rows: Rows) -> None:
    """The value is scikit-learn's, and the interval's ends lie in order between 0 and 1."""
    truth, scores = rows
    if not has_both_classes(truth):
        return
    interval = auc_interval(truth, scores, samples=20, confidence=0.9, seed=1)
    assert interval.value == pytest.approx(roc_auc_score(truth, scores))
    assert 0 <= interval.low <= interval.high <= 1


def test_interval_covers_the_value_and_narrows_with_rows() -> None:
    """More rows of the same kind give a narrower interval around the same value."""

    def interval(rows: int) -> Interval:
        generator = np.random.default_rng(3)
        truth = (np.arange(rows) % 2).astype(float)
        return auc_interval(
            truth, truth + generator.normal(0, 1.5, rows), samples=300, confidence=0.95, seed=1
        )

    few, many = interval(100), interval(10_000)
    assert few.low < few.value < few.high
    assert many.high - many.low < (few.high - few.low) / 3


@given(TRUTH_AND_SCORES, st.floats(0.1, 1.0))
def test_a_threshold_reaches_its_precision(rows: Rows, precision: float) -> None:
    """Deciding at the threshold is at least as precise as asked, on the rows it was chosen on."""
    truth, scores = rows
    threshold = operating_threshold(truth, scores, precision=precision)
    if threshold is not None:
        assert truth[scores >= threshold].mean() >= precision


def test_no_threshold_where_one_class_is_missing() -> None:
    """A label that never occurs has no threshold to choose."""
    assert operating_threshold(np.zeros(4), np.linspace(0, 1, 4), precision=0.5) is None
