import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from toxic_training.evaluation.metrics import Floats, Rows, calibration_error_of, has_both_classes
from toxic_training.evaluation.resampling import Interval, Resampling, auc_interval, intervals

TRUTH_AND_SCORES = st.lists(st.tuples(st.booleans(), st.floats(0, 1, width=32)), min_size=2, max_size=40).map(
    lambda rows: (np.array([float(t) for t, _ in rows]), np.array([s for _, s in rows]))
)


@given(TRUTH_AND_SCORES)
def test_an_aucs_interval_is_between_0_and_1(rows: tuple[Floats, Floats]) -> None:
    """The ends are ordered; resampling within classes never loses one."""
    truth, scores = rows
    assume(has_both_classes(truth))
    interval = auc_interval(truth, scores, Resampling(samples=20, confidence=0.9, seed=1))
    assert 0 <= interval.low <= interval.high <= 1


def test_an_interval_covers_the_value_and_narrows_with_rows() -> None:
    """More rows of the same kind give a narrower interval around the same value."""

    def interval(rows: int) -> Interval:
        generator = np.random.default_rng(3)
        truth = (np.arange(rows) % 2).astype(float)
        scores = truth + generator.normal(0, 1.5, rows)
        return auc_interval(truth, scores, Resampling(samples=300, confidence=0.95, seed=1))

    few, many = interval(100), interval(10_000)
    assert few.low < few.value < few.high
    assert many.high - many.low < (few.high - few.low) / 3


def test_the_interval_of_a_mean_is_the_textbooks() -> None:
    """On a mean with a known standard error, the bootstrap gives 1.96 of it on both sides."""
    values = np.random.default_rng(2).normal(10, 2, 2_000)
    (interval,) = intervals(
        lambda counts: np.array([np.average(values, weights=counts)]),
        np.zeros(values.size),
        Resampling(samples=2_000, confidence=0.95, seed=4),
    )
    error = values.std() / np.sqrt(values.size)
    assert interval.low == pytest.approx(values.mean() - 1.96 * error, abs=error / 5)
    assert interval.high == pytest.approx(values.mean() + 1.96 * error, abs=error / 5)


def test_undefined_figures_are_left_out() -> None:
    """A figure without a value is absent instead of NaN."""
    assert Interval(float("nan"), 0.0, 1.0).named("auc") == {}
    assert Interval(0.5, 0.4, 0.6).named("auc") == {"auc": 0.5, "auc_low": 0.4, "auc_high": 0.6}


def test_without_samples_an_interval_is_the_value() -> None:
    """A quick run may skip the intervals."""
    truth, scores = np.array([0.0, 1.0]), np.array([0.1, 0.2])
    interval = auc_interval(truth, scores, Resampling(samples=0, confidence=0.95, seed=1))
    assert interval == Interval(1.0, 1.0, 1.0)


def test_an_error_is_in_its_interval_despite_noise() -> None:
    """The calibration error of true probabilities isn't 0 on a few rows, and is larger on resamples."""
    generator = np.random.default_rng(6)
    chances = generator.random(200)
    truth = (generator.random(200) < chances).astype(float)
    rows = Rows.of(truth, chances)
    (interval,) = intervals(
        lambda counts: np.array([calibration_error_of(rows.resampled(counts), bins=15)]),
        truth,
        Resampling(samples=300, confidence=0.95, seed=1),
    )
    assert interval.bias > 0.01
    moved = interval.without_bias()
    assert 0 <= moved.low < moved.value < moved.high < interval.high
