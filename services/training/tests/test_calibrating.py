from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toxic_core.contract import Fit
from toxic_core.errors import InvalidDataError
from toxic_core.labels import Label
from toxic_training.evaluation.calibrating import DEFAULT_THRESHOLD, fit_operating_point, fit_platt
from toxic_training.evaluation.metrics import Floats, Rows, calibration_error_of, weights_for_share
from toxic_training.evaluation.parameters import EvaluationParameters

NONE = pd.DataFrame()
"""No further rows for thresholds."""

Scored = Callable[..., pd.DataFrame]


def _sigmoid(logits: Floats) -> Floats:
    return 1 / (1 + np.exp(-logits))


def _draw(rows: int, *, slope: float, intercept: float, seed: int = 0) -> tuple[Floats, Floats]:
    """Draw scores, and labels with the probabilities that Platt scaling with these numbers gives."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 3, rows)
    truth = generator.random(rows) < _sigmoid(slope * logits + intercept)
    return truth.astype(np.float64), _sigmoid(logits)


@given(st.floats(0.3, 2.0), st.floats(-1.5, 1.5))
def test_platt_scaling_finds_the_true_parameters(slope: float, intercept: float) -> None:
    """Fitted on labels drawn with known parameters, it returns about those."""
    truth, scores = _draw(4_000, slope=slope, intercept=intercept)
    fitted = fit_platt(truth, scores, np.ones(truth.size))
    assert fitted is not None
    assert fitted.slope == pytest.approx(slope, abs=0.15 + slope / 8)
    assert fitted.intercept == pytest.approx(intercept, abs=0.3)


def test_separable_classes_give_a_finite_slope() -> None:
    """Platt's smoothed targets keep the slope of a perfect classifier finite."""
    truth = np.repeat([0.0, 1.0], 20)
    fitted = fit_platt(truth, np.repeat([0.2, 0.9], 20), np.ones(40))
    assert fitted is not None
    assert fitted.slope < 10


def test_scores_with_a_reversed_ranking_are_not_calibrated() -> None:
    """A negative slope is refused."""
    truth = np.repeat([0.0, 1.0], 20)
    assert fit_platt(truth, np.repeat([0.9, 0.2], 20), np.ones(40)) is None


@given(st.lists(st.booleans(), min_size=2, max_size=50), st.floats(0.01, 0.99))
def test_weights_give_any_set_the_share(toxic: list[bool], share: float) -> None:
    """Weighted, toxic rows make up the requested share, and the mean weight is 1."""
    labels = np.array(toxic, dtype=np.float64)
    weights = weights_for_share(labels, share)
    assert weights.mean() == pytest.approx(1)
    if 0 < labels.mean() < 1:
        assert weights[labels == 1].sum() / weights.sum() == pytest.approx(share)


def test_calibration_holds_at_its_share_of_toxic_comments(
    scored: Scored, evaluation_parameters: EvaluationParameters
) -> None:
    """Fitted on a set with few toxic comments, scores are probabilities in a stream of half toxic ones."""
    truth, scores = _draw(20_000, slope=0.7, intercept=-2.5)
    assert truth.mean() < 0.25
    point = fit_operating_point(scored(truth, scores), NONE, evaluation_parameters)
    unseen, unseen_scores = _draw(20_000, slope=0.7, intercept=-2.5, seed=1)
    calibrated = point.calibrated(scored(unseen, unseen_scores))["score_toxic"].to_numpy(np.float64)
    balanced = Rows.of(unseen, calibrated, weights_for_share(unseen, 0.5))
    assert calibration_error_of(balanced, bins=15) < 0.02
    assert calibration_error_of(Rows.of(unseen, calibrated), bins=15) > 0.1


def test_a_threshold_has_its_precision_in_deployment(
    scored: Scored, evaluation_parameters: EvaluationParameters
) -> None:
    """The precision is that at the deployment's share of toxic comments, not the validation set's."""
    truth, scores = _draw(40_000, slope=1.5, intercept=0.0)
    point = fit_operating_point(scored(truth, scores), NONE, evaluation_parameters)
    unseen = scored(*_draw(40_000, slope=1.5, intercept=0.0, seed=1))
    decided = point.decisions(point.calibrated(unseen), Label.TOXIC)
    toxic = unseen["toxic"].to_numpy(np.float64)
    weights = weights_for_share(toxic, evaluation_parameters.deployment_toxic_share)
    assert np.average(toxic[decided], weights=weights[decided]) == pytest.approx(0.8, abs=0.03)
    assert toxic[decided].mean() > 0.9


def test_a_language_has_its_own_only_with_enough_data(
    scored: Scored, evaluation_parameters: EvaluationParameters
) -> None:
    """Ten comments of each class are enough here, nine are not."""
    english, spanish = (
        _draw(2_000, slope=1.0, intercept=0.0),
        ([0.0] * 30 + [1.0] * 10, [0.3] * 30 + [0.8] * 10),
    )
    italian = ([0.0] * 30 + [1.0] * 9, [0.3] * 30 + [0.8] * 9)
    tables = [scored(*english), scored(*spanish, language="es"), scored(*italian, language="it")]
    point = fit_operating_point(pd.concat(tables, ignore_index=True), NONE, evaluation_parameters)
    fits = point.fits[Label.TOXIC]
    assert fits["es"] == Fit(rows=40, positives=10, languages=("es",), threshold="precision 0.8")
    assert fits["it"].languages == fits["sv"].languages == ("en", "es", "it")
    assert point.calibration_of(Label.TOXIC, "it") != point.calibration_of(Label.TOXIC, "es")
    assert "ru" not in point.calibration[Label.TOXIC]
    assert point.calibration_of(Label.TOXIC, "ru") == point.calibration_of(Label.TOXIC, None)


def test_a_precision_curve_is_of_a_language_s_own_comments(
    scored: Scored, evaluation_parameters: EvaluationParameters
) -> None:
    """Or of all; its thresholds have their precision in the deployment's stream, the operating one's too."""
    english, few = _draw(4_000, slope=1.0, intercept=0.0), ([0.0] * 30 + [1.0] * 9, [0.3] * 30 + [0.8] * 9)
    table = pd.concat([scored(*english), scored(*few, language="it")], ignore_index=True)
    point = fit_operating_point(table, NONE, evaluation_parameters)
    curves = point.precision_curves[Label.TOXIC]
    assert curves.keys() == {"*", "en"}
    assert curves["en"].rows == 4_000
    assert curves["en"].threshold(0.8) == point.threshold(Label.TOXIC, "en")
    calibrated = point.calibrated(scored(*english))
    toxic = calibrated["toxic"].to_numpy(np.float64)
    weights = weights_for_share(toxic, evaluation_parameters.deployment_toxic_share)
    for precision, threshold in curves["en"].knots:
        flagged = calibrated["score_toxic"].to_numpy(np.float64) >= threshold
        assert np.average(toxic[flagged], weights=weights[flagged]) >= precision
    assert point.precision_curves[Label.THREAT] == {}


def test_a_label_may_need_recall(scored: Scored, evaluation_parameters: EvaluationParameters) -> None:
    """The threshold is lowered to it, also on rows that serve for nothing else, and the fit says so."""
    validation = scored([0.0] * 50 + [1.0] * 10, [0.6] * 50 + [0.9] * 10)
    rare = scored([1.0] * 40, np.linspace(0.2, 0.8, 40).tolist())
    for table in (validation, rare):
        table["threat"] = table["toxic"]
    parameters = evaluation_parameters.model_copy(update={"threshold_recall": {Label.THREAT: 0.8}})
    point = fit_operating_point(validation, rare, parameters)
    assert point.fits[Label.THREAT]["en"].threshold == "recall 0.8"
    assert point.fits[Label.THREAT]["en"].positives == 50
    assert point.decisions(point.calibrated(rare), Label.THREAT).mean() == pytest.approx(31 / 40)
    assert point.fits[Label.TOXIC]["en"].threshold == "precision 0.8"
    assert point.fits[Label.TOXIC]["en"].positives == 10


def test_a_label_that_never_occurs_is_not_calibrated(
    scored: Scored, evaluation_parameters: EvaluationParameters
) -> None:
    """Without positives the scores stay raw, and the threshold is 0.5."""
    point = fit_operating_point(scored([0.0, 1.0], [0.1, 0.9]), NONE, evaluation_parameters)
    assert point.calibration_of(Label.THREAT, None).slope == 1.0
    assert point.threshold(Label.THREAT, "en") == DEFAULT_THRESHOLD


def test_unreachable_precision_is_logged(
    scored: Scored, evaluation_parameters: EvaluationParameters, caplog: pytest.LogCaptureFixture
) -> None:
    """If no threshold reaches the precision, it is 0.5 and a warning is logged."""
    point = fit_operating_point(scored([0.0, 1.0] * 50, [0.5] * 100), NONE, evaluation_parameters)
    assert point.threshold(Label.TOXIC, "en") == DEFAULT_THRESHOLD
    assert "No threshold of toxic has a precision of 0.8" in caplog.text


def test_no_validation_comments_are_an_error(
    scored: Scored, evaluation_parameters: EvaluationParameters
) -> None:
    """The error names the parameter to change."""
    with pytest.raises(InvalidDataError, match="lower train_fraction"):
        fit_operating_point(scored([], []), NONE, evaluation_parameters)
