from collections.abc import Callable

import pandas as pd
import pytest

from toxic_core.contract import Calibration
from toxic_core.labels import LABELS
from toxic_training.evaluation.hatecheck import measure_hatecheck
from toxic_training.evaluation.operating_point import OperatingPoint
from toxic_training.evaluation.resampling import Resampling

Scored = Callable[..., pd.DataFrame]

RESAMPLING = Resampling(samples=50, confidence=0.95, seed=1)
POINT = OperatingPoint(
    calibration={label: {"*": Calibration()} for label in LABELS},
    thresholds={label: {"*": 0.9, "en": 0.6} for label in LABELS},
)


def test_a_case_passes_if_the_decision_is_its_gold_label(scored: Scored) -> None:
    """Decisions use the English threshold of `toxic`, by functionality and over all."""
    table = scored([float("nan")] * 6, [0.7, 0.7, 0.5, 0.1, 0.1, 0.65])
    table["functionality"] = ["slur_h", "slur_h", "slur_h", "ident_nh", "ident_nh", "ident_nh"]
    table["hateful"] = [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    figures = measure_hatecheck(table, POINT, RESAMPLING)
    assert figures["hatecheck.slur_h.accuracy"] == pytest.approx(2 / 3)
    assert figures["hatecheck.ident_nh.accuracy"] == pytest.approx(2 / 3)
    assert (
        figures["hatecheck.hateful.accuracy"]
        == figures["hatecheck.non_hateful.accuracy"]
        == pytest.approx(2 / 3)
    )
    assert figures["hatecheck.all.cases"] == 6
    assert 0 <= figures["hatecheck.all.accuracy_low"] < figures["hatecheck.all.accuracy_high"] <= 1


def test_without_cases_there_are_no_figures(scored: Scored) -> None:
    """An absent suite has no figures instead of failures."""
    assert measure_hatecheck(scored([], []).assign(functionality=[], hateful=[]), POINT, RESAMPLING) == {}
