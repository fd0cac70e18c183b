from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from toxic_core.contract import Calibration
from toxic_core.errors import InvalidDataError
from toxic_core.labels import LABELS
from toxic_training.evaluation.comparison import compare_with_champion
from toxic_training.evaluation.operating_point import OperatingPoint
from toxic_training.evaluation.parameters import EvaluationParameters

Scored = Callable[..., pd.DataFrame]

POINT = OperatingPoint(
    calibration={label: {"*": Calibration()} for label in LABELS},
    thresholds={label: {"*": 0.5} for label in LABELS},
)


def _table(scored: Scored, *, noise: float, seed: int = 1) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    truth = np.repeat([0.0, 1.0], 150)
    scores = truth + np.random.default_rng(0).normal(0, 1, 300) + generator.normal(0, noise, 300)
    return scored(truth.tolist(), (1 / (1 + np.exp(-scores))).tolist())


def test_a_better_model_has_a_positive_difference(
    scored: Scored, evaluation_parameters: EvaluationParameters
) -> None:
    """The interval of the paired difference is above zero, and narrower than the figures' own."""
    own, champion = _table(scored, noise=0.1), POINT.calibrated(_table(scored, noise=1.5))
    figures = compare_with_champion(own, champion, POINT, evaluation_parameters)
    difference = "comparison.toxic.en.auc_difference"
    assert 0 < figures[f"{difference}_low"] < figures[difference] < figures[f"{difference}_high"]
    names = (difference, "comparison.toxic.en.champion_auc")
    widths = [figures[f"{name}_high"] - figures[f"{name}_low"] for name in names]
    assert widths[0] < widths[1]
    assert not any("threat" in name for name in figures)


def test_a_model_equals_itself(scored: Scored, evaluation_parameters: EvaluationParameters) -> None:
    """The paired difference of a model and itself is exactly zero."""
    table = _table(scored, noise=0.1)
    figures = compare_with_champion(table, POINT.calibrated(table), POINT, evaluation_parameters)
    ends = [figures[f"comparison.toxic.all.auc_difference{end}"] for end in ("", "_low", "_high")]
    assert ends == [0, 0, 0]


def test_without_a_champion_there_is_no_difference(
    scored: Scored, evaluation_parameters: EvaluationParameters
) -> None:
    """The first model of a registry has no comparison."""
    own = _table(scored, noise=0.1)
    assert compare_with_champion(own, pd.DataFrame(), POINT, evaluation_parameters) == {}


def test_models_with_other_labels_are_compared_on_common_ones(
    scored: Scored, evaluation_parameters: EvaluationParameters
) -> None:
    """A label that either model lacks has no difference."""
    table = _table(scored, noise=0.1).assign(insult=np.repeat([0.0, 1.0], 150))
    fewer = OperatingPoint(calibration={"toxic": {"*": Calibration()}}, thresholds={"toxic": {"*": 0.5}})
    champion = POINT.calibrated(table)
    own = table.drop(columns=[f"score_{label}" for label in LABELS if label != "toxic"])
    figures = compare_with_champion(own, champion, fewer, evaluation_parameters)
    assert figures["comparison.toxic.all.auc_difference"] == 0
    assert not any("insult" in name for name in figures)


def test_other_comments_are_refused(scored: Scored, evaluation_parameters: EvaluationParameters) -> None:
    """Scores of another test set can't be compared by accident."""
    table = _table(scored, noise=0.1)
    with pytest.raises(InvalidDataError, match="other comments"):
        compare_with_champion(table, table.iloc[::-1].reset_index(drop=True), POINT, evaluation_parameters)
