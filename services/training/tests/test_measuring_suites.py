from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from toxic_core.contract import Calibration
from toxic_core.contract.scales import FEWEST_ROWS, Scales
from toxic_core.labels import LABELS
from toxic_training.data.suites import REFERENCES
from toxic_training.evaluation.disguises import WAYS, disguise_comments
from toxic_training.evaluation.operating_point import OperatingPoint
from toxic_training.evaluation.parameters import EvaluationParameters
from toxic_training.evaluation.suites import measure_disguised, measure_suites
from toxic_training.kedro_project.pipelines.evaluation.nodes import fit_reference_scales

Scored = Callable[..., pd.DataFrame]

POINT = OperatingPoint(
    calibration={label: {"*": Calibration()} for label in LABELS},
    thresholds={label: {"*": 0.9, "en": 0.6} for label in LABELS},
)
MISSING = float("nan")


@pytest.fixture
def cases(scored: Scored) -> Scored:
    """Make scored cases of a suite, with what a suite may have."""

    def make(scores: list[float], *, suite: str, **columns: Any) -> pd.DataFrame:
        table = scored([MISSING] * len(scores), scores, source=suite)
        empty = table.assign(group="", expected="", **dict.fromkeys(REFERENCES, MISSING))
        return empty.assign(**columns)

    return make


def test_a_hatecheck_case_passes_if_the_decision_on_hate_is_right(
    cases: Scored, evaluation_parameters: EvaluationParameters
) -> None:
    """By the English threshold, by functionality and over all; other labels count in `any_accuracy` alone."""
    table = cases(
        [0.7, 0.7, 0.5, 0.1, 0.1, 0.65],
        suite="hatecheck",
        group=["slur_h"] * 3 + ["ident_nh"] * 3,
        identity_hate=[1.0, 1.0, 1.0, 0.0, 0.0, 0.0],
        score_threat=[0.1, 0.1, 0.9, 0.1, 0.9, 0.1],
    )
    figures = measure_suites(table, POINT, evaluation_parameters)
    assert figures["hatecheck.slur_h.identity_accuracy"] == pytest.approx(2 / 3)
    assert figures["hatecheck.hateful.identity_accuracy"] == pytest.approx(2 / 3)
    assert figures["hatecheck.non_hateful.identity_accuracy"] == pytest.approx(2 / 3)
    assert figures["hatecheck.slur_h.any_accuracy"] == 1
    assert figures["hatecheck.ident_nh.any_accuracy"] == pytest.approx(1 / 3)
    assert figures["hatecheck.all.cases"] == 6
    assert figures["hatecheck.all.auc"] == pytest.approx(8 / 9)
    assert (
        0
        <= figures["hatecheck.all.identity_accuracy_low"]
        <= figures["hatecheck.all.identity_accuracy_high"]
        <= 1
    )


def test_a_model_with_fewer_labels_decides_by_these(
    cases: Scored, evaluation_parameters: EvaluationParameters
) -> None:
    """Figures of a label that it lacks are absent."""
    toxic = OperatingPoint(calibration={"toxic": {"*": Calibration()}}, thresholds={"toxic": {"*": 0.5}})
    hatecheck = cases([0.7, 0.1], suite="hatecheck", group=["slur_h", "ident_nh"], identity_hate=[1.0, 0.0])
    scores = np.linspace(0, 1, 100).tolist()
    rated = cases(scores, suite="rated", **dict.fromkeys(REFERENCES, scores))
    unknown = [f"score_{label}" for label in LABELS if label != "toxic"]
    table = pd.concat([hatecheck, rated], ignore_index=True).drop(columns=unknown)
    figures = measure_suites(table, toxic, evaluation_parameters)
    assert figures["hatecheck.all.any_accuracy"] == 1
    assert figures["rated.toxicity.en.rank_correlation"] == pytest.approx(1)
    assert not any("identity" in name or "threat" in name for name in figures)
    assert "hatecheck.all.auc" not in figures


def test_expected_decisions_are_measured_by_kind(
    cases: Scored, evaluation_parameters: EvaluationParameters
) -> None:
    """Harmful cases should be flagged by any harm; swearing alone (`obscene`) isn't one."""
    table = cases(
        [0.1] * 4,
        suite="everyday",
        group=["threat", "threat", "swearing", "idiom"],
        expected=["threat", "toxic;threat", "ok", "ok"],
        score_threat=[0.9, 0.1, 0.1, 0.1],
        score_obscene=[0.1, 0.1, 0.9, 0.1],
        score_insult=[0.1, 0.1, 0.1, 0.7],
    )
    figures = measure_suites(table, POINT, evaluation_parameters)
    expected = {"threat": 0.5, "swearing": 1, "idiom": 0, "harmful": 0.5, "harmless": 0.5, "all": 0.5}
    assert {name: figures[f"everyday.{name}.accuracy"] for name in expected} == expected


def test_labelled_and_rated_suites_are_measured_by_language(
    cases: Scored, evaluation_parameters: EvaluationParameters
) -> None:
    """AUC of `toxic`; the rank correlation with an attribute needs a hundred scores."""
    scores = np.linspace(0, 1, 100).tolist()
    table = cases(
        scores,
        suite="rated",
        toxic=[0.0] * 50 + [1.0] * 50,
        TOXICITY=scores[::-1],
        THREAT=[*scores[:99], MISSING],
    )
    figures = measure_suites(table, POINT, evaluation_parameters)
    assert figures["rated.toxic.en.auc"] == 1
    assert figures["rated.toxic.en.rows"] == 100
    assert figures["rated.toxicity.en.rank_correlation"] == pytest.approx(-1)
    assert "rated.threat.en.rank_correlation" not in figures


def test_scales_are_fitted_on_reference_scores(cases: Scored) -> None:
    """By attribute and language, to calibrated scores; without enough of them there are none."""
    scores = np.linspace(0, 1, FEWEST_ROWS)
    table = cases(scores.tolist(), suite="perspective", TOXICITY=scores / 2, THREAT=[0.5] + [MISSING] * 499)
    scales = Scales.model_validate(fit_reference_scales(table, POINT))
    assert scales.curves.keys() == {"TOXICITY"}
    assert scales.curves["TOXICITY"].keys() == {"*", "en"}
    assert scales.source == "reference scores of 500 comments (perspective)"
    assert scales.apply("TOXICITY", np.array([0.8]), ["en"]) == pytest.approx(0.4, abs=0.01)
    assert fit_reference_scales(table.iloc[1:], POINT) == {}
    assert fit_reference_scales(cases([], suite="perspective"), POINT) == {}


def test_without_cases_there_are_no_figures(
    cases: Scored, evaluation_parameters: EvaluationParameters
) -> None:
    """An absent suite has no figures instead of failures."""
    assert measure_suites(cases([], suite="everyday"), POINT, evaluation_parameters) == {}


def test_a_disguise_keeps_or_loses_a_decision(
    scored: Scored, evaluation_parameters: EvaluationParameters
) -> None:
    """Flagged comments should stay flagged, others not become so."""
    plain = scored([1, 1, 0], [0.9, 0.8, 0.1])
    disguised = scored([1, 0, 1, 0], [0.9, 0.1, 0.2, 0.7]).assign(
        plain=[0, 2, 1, 2], group=["leet", "leet", "dots", "dots"]
    )
    figures = measure_disguised(plain, disguised, POINT, evaluation_parameters)
    kept = {name: value for name, value in figures.items() if not name.endswith(("_low", "_high"))}
    assert kept == {
        "disguised.leet.harmful": 1, "disguised.leet.harmless": 1,
        "disguised.dots.harmful": 0, "disguised.dots.harmless": 0,
        "disguised.all.harmful": 0.5, "disguised.all.harmless": 0.5,
    }  # fmt: skip


def test_comments_are_disguised_in_the_ways_of_their_script(
    evaluation_parameters: EvaluationParameters,
) -> None:
    """Letters are exchanged in Latin script alone; a way changes long words; what stays is left out."""
    comments = pd.DataFrame(
        {
            "id": ["a", "b", "c"],
            "text": ["we are quite ok!", "это тест.", "ok"],
            "language": ["en", "ru", "en"],
        }
    )
    table = disguise_comments(comments, evaluation_parameters.model_copy(update={"disguised_comments": 9}))
    found = dict(zip(table["id"] + "." + table["group"], table["text"], strict=True))
    assert found.keys() == {*(f"a.{way}" for way in WAYS), "b.spacing", "b.dots", "b.repeats"}
    assert found["a.leet"] == "we 4r3 qu173 ok!"
    assert found["a.spacing"] == "we   a r e   q u i t e   ok!"
    assert found["b.dots"] == "э.т.о т.е.с.т."
    assert (
        len(disguise_comments(comments, evaluation_parameters.model_copy(update={"disguised_comments": 0})))
        == 0
    )
