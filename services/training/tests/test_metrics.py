import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, log_loss, precision_score, recall_score, roc_auc_score

from toxic_training.evaluation.metrics import (
    Floats,
    Rows,
    auc_of,
    average_precision_of,
    calibration_error_of,
    decision_rates,
    has_both_classes,
    log_loss_of,
    lowest_thresholds,
    operating_threshold,
    reliability,
)

Weighted = tuple[Floats, Floats, Floats]

# Few distinct values, so that ties are common; small weights, so that some rows don't count at all.
ROWS = st.lists(
    st.tuples(
        st.booleans(),
        st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5000001, 0.9, 1.0]),
        st.sampled_from([0.0, 0.5, 1.0, 3.0]),
    ),
    min_size=2,
    max_size=60,
).map(
    lambda rows: (
        np.array([float(t) for t, *_ in rows]),
        np.array([s for _, s, _ in rows]),
        np.array([w for *_, w in rows]),
    )
)


def _both_classes_count(truth: Floats, weights: Floats) -> bool:
    return has_both_classes(truth[weights > 0])


@given(ROWS)
def test_auc_and_average_precision_are_scikit_learns(rows: Weighted) -> None:
    """They are equal for any weights and ties."""
    truth, scores, weights = rows
    assume(_both_classes_count(truth, weights))
    measured = Rows.of(truth, scores, weights)
    assert auc_of(measured) == pytest.approx(roc_auc_score(truth, scores, sample_weight=weights))
    expected = average_precision_score(truth, scores, sample_weight=weights)
    assert average_precision_of(measured) == pytest.approx(expected)


@given(ROWS)
def test_log_loss_is_scikit_learns(rows: Weighted) -> None:
    """Scores of 0 and 1 have a large but finite loss."""
    truth, scores, weights = rows
    assume(weights.sum() > 0)
    clipped = np.clip(scores, 1e-7, 1 - 1e-7)
    expected = log_loss(truth, clipped, sample_weight=weights, labels=[0, 1])
    assert log_loss_of(Rows.of(truth, scores, weights)) == pytest.approx(expected)


@given(st.integers(1, 6), st.integers(1, 8), st.integers(0, 1000))
def test_reliability_is_scikit_learns_over_quantiles(bins: int, rows_per_bin: int, seed: int) -> None:
    """If bins can be equal, the diagram's points are scikit-learn's."""
    generator = np.random.default_rng(seed)
    scores = generator.random(bins * rows_per_bin)
    truth = (generator.random(scores.size) < scores).astype(float)
    curve = reliability(Rows.of(truth, scores), bins=bins)
    # scikit-learn's edges are interpolated between rows; in the middle of a gap they part the same rows.
    ordered = np.sort(scores)
    edges = [(ordered[i - 1] + ordered[i]) / 2 for i in range(rows_per_bin, scores.size, rows_per_bin)]
    place = np.searchsorted(edges, scores)
    for index in range(bins):
        observed, predicted = calibration_curve(truth[place == index], scores[place == index], n_bins=1)
        assert curve.observed[index] == pytest.approx(observed[0])
        assert curve.predicted[index] == pytest.approx(predicted[0])


@given(ROWS, st.integers(1, 20))
def test_calibration_error_does_not_depend_on_order(rows: Weighted, bins: int) -> None:
    """It is between 0 and 1, and equal scores are always in the same bin."""
    truth, scores, weights = rows
    assume(weights.sum() > 0)
    error = calibration_error_of(Rows.of(truth, scores, weights), bins=bins)
    shuffled = np.random.default_rng(0).permutation(truth.size)
    again = calibration_error_of(Rows.of(truth[shuffled], scores[shuffled], weights[shuffled]), bins=bins)
    assert 0 <= error <= 1
    assert again == pytest.approx(error)


def test_calibration_error_equals_the_inflation() -> None:
    """On many rows it is about 0 for true probabilities, and about the inflation for inflated ones."""
    generator = np.random.default_rng(5)
    chances = generator.uniform(0, 0.8, 40_000)
    truth = (generator.random(chances.size) < chances).astype(float)
    assert calibration_error_of(Rows.of(truth, chances), bins=15) < 0.01
    assert calibration_error_of(Rows.of(truth, chances + 0.2), bins=15) == pytest.approx(0.2, abs=0.01)


@given(ROWS)
def test_counting_a_row_twice_equals_repeating_it(rows: Weighted) -> None:
    """Resampling by counts equals resampling of rows."""
    truth, scores, weights = rows
    counts = np.arange(truth.size) % 3
    assume(_both_classes_count(np.repeat(truth, counts), np.repeat(weights, counts)))
    counted = Rows.of(truth, scores, weights).resampled(counts.astype(float))
    repeated = Rows.of(*(np.repeat(column, counts) for column in rows))
    for figure in (auc_of, average_precision_of, log_loss_of):
        assert figure(counted) == pytest.approx(figure(repeated))
    assert calibration_error_of(counted, bins=4) == pytest.approx(calibration_error_of(repeated, bins=4))


@pytest.mark.parametrize("truth", [[], [0.0, 0.0], [1.0, 1.0]])
def test_undefined_metrics_are_nan(truth: list[float]) -> None:
    """Without rows, or without both classes, the AUC is NaN."""
    rows = Rows.of(np.array(truth), np.linspace(0.2, 0.8, len(truth)))
    assert np.isnan(auc_of(rows))
    assert np.isnan(average_precision_of(rows)) == (not any(truth))
    assert np.isnan(log_loss_of(rows)) == (not truth)
    assert np.isnan(calibration_error_of(rows, bins=3)) == (not truth)


@given(ROWS)
def test_plain_auc_equals_the_weighted_one(rows: Weighted) -> None:
    """Both implementations give the same figure."""
    truth, scores, _ = rows
    assume(has_both_classes(truth))
    assert roc_auc_score(truth, scores) == pytest.approx(auc_of(Rows.of(truth, scores)))


@given(ROWS, st.floats(0.1, 1.0))
def test_a_threshold_reaches_its_precision(rows: Weighted, precision: float) -> None:
    """Its decisions have at least the wanted precision on the weighted rows."""
    truth, scores, weights = rows
    assume(_both_classes_count(truth, weights))
    threshold = operating_threshold(truth, scores, precision=precision, weights=weights)
    if threshold is not None:
        rates = decision_rates(truth, scores >= threshold, weights)
        assert rates["precision"] >= precision - 1e-12


def test_a_missing_class_has_no_threshold() -> None:
    """A label that never occurs has no threshold."""
    assert operating_threshold(np.zeros(4), np.linspace(0, 1, 4), precision=0.5) is None


def test_a_precision_of_few_rows_is_not_believed() -> None:
    """The highest score alone has a precision of 1; three rows are to reach a threshold."""
    truth, scores = np.array([0.0, 1.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    assert lowest_thresholds(truth, scores, precisions=(0.6, 0.9, 1.0)) == {0.6: 0.1, 0.9: 0.4, 1.0: 0.4}
    assert lowest_thresholds(truth, scores, precisions=(0.6, 0.9), fewest=3) == {0.6: 0.1}


@given(ROWS, st.sampled_from([0.1, 0.5, 2.0]))
def test_decision_rates_are_scikit_learns(rows: Weighted, threshold: float) -> None:
    """They are NaN instead of 0 if the denominator is 0."""
    truth, scores, weights = rows
    assume(_both_classes_count(truth, weights))
    decided = scores >= threshold
    rates = decision_rates(truth, decided, weights)
    assert rates["recall"] == pytest.approx(recall_score(truth, decided, sample_weight=weights))
    if weights[decided].sum() > 0:
        assert rates["precision"] == pytest.approx(precision_score(truth, decided, sample_weight=weights))
    else:
        assert np.isnan(rates["precision"])
    specificity = recall_score(1 - truth, ~decided, sample_weight=weights)
    assert rates["false_positive_rate"] == pytest.approx(1 - specificity)
