from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from toxic_core.contract import Calibration
from toxic_core.labels import LABELS
from toxic_training.evaluation.measuring import measure_sets
from toxic_training.evaluation.operating_point import OperatingPoint
from toxic_training.evaluation.parameters import EvaluationParameters

Scored = Callable[..., pd.DataFrame]

AS_IT_IS = OperatingPoint(
    calibration={label: {"*": Calibration()} for label in LABELS},
    thresholds={label: {"*": 0.5} for label in LABELS},
)


def _random(rows: int, seed: int) -> tuple[list[float], list[float]]:
    generator = np.random.default_rng(seed)
    scores = generator.random(rows)
    truth = (generator.random(rows) < scores).astype(float)
    return truth.tolist(), scores.tolist()


def test_figures_are_named_by_set_label_and_language(
    scored: Scored, evaluation_parameters: EvaluationParameters
) -> None:
    """The train file's rows are `heldout`; each figure is scikit-learn's on its rows."""
    test = pd.concat([scored(*_random(80, 1)), scored(*_random(60, 2), language="es")], ignore_index=True)
    validation = pd.concat(
        [
            scored(*_random(50, 3), source="train"),
            scored(*_random(50, 4), source="validation", language="tr"),
        ],
        ignore_index=True,
    )
    figures = measure_sets(validation, test, point=AS_IT_IS, parameters=evaluation_parameters)
    spanish = test[test["language"] == "es"]
    assert figures["test.toxic.es.rows"] == 60
    assert figures["test.toxic.es.auc"] == pytest.approx(
        roc_auc_score(spanish["toxic"], spanish["score_toxic"])
    )
    expected = average_precision_score(test["toxic"], test["score_toxic"])
    assert figures["test.toxic.all.average_precision"] == pytest.approx(expected)
    assert figures["heldout.toxic.en.rows"] == figures["validation.toxic.tr.rows"] == 50
    assert "heldout.toxic.tr.rows" not in figures
    for figure in ("auc", "average_precision", "log_loss", "ece"):
        ends = figures[f"test.toxic.en.{figure}_low"], figures[f"test.toxic.en.{figure}_high"]
        assert ends[0] < ends[1]


def test_the_mean_over_labels_needs_every_label(
    scored: Scored, evaluation_parameters: EvaluationParameters
) -> None:
    """It is the mean of the labels' AUCs, and absent if a label is unknown."""
    truth, scores = _random(200, 5)
    labelled = scored(truth, scores, source="train")
    for index, label in enumerate(LABELS):
        labelled[label] = np.roll(labelled["toxic"], index)
    figures = measure_sets(
        labelled, scored(*_random(40, 6)), point=AS_IT_IS, parameters=evaluation_parameters
    )
    aucs = [roc_auc_score(labelled[label], labelled[f"score_{label}"]) for label in LABELS]
    assert figures["heldout.mean.all.auc"] == pytest.approx(np.mean(aucs))
    assert "test.mean.all.auc" not in figures


def test_a_model_with_fewer_labels_is_measured_on_these(
    scored: Scored, evaluation_parameters: EvaluationParameters
) -> None:
    """It has no mean over the labels, because others' means are over all of them."""
    fewer = OperatingPoint(calibration={"toxic": {"*": Calibration()}}, thresholds={"toxic": {"*": 0.5}})
    labelled = scored(*_random(200, 5), source="train")
    for label in LABELS:
        labelled[label] = labelled["toxic"]
    test = scored(*_random(40, 6))
    unknown = [f"score_{label}" for label in LABELS if label != "toxic"]
    figures = measure_sets(
        labelled.drop(columns=unknown),
        test.drop(columns=unknown),
        point=fewer,
        parameters=evaluation_parameters,
    )
    assert {name.split(".")[1] for name in figures if name.startswith("heldout.")} == {"toxic"}
    whole = measure_sets(labelled, test, point=AS_IT_IS, parameters=evaluation_parameters)
    assert figures.items() <= whole.items()


def test_one_class_or_few_rows_have_no_figure(
    scored: Scored, evaluation_parameters: EvaluationParameters
) -> None:
    """Spanish comments of one class, or one Italian comment, have no figures."""
    test = pd.concat(
        [
            scored(*_random(40, 1)),
            scored([1.0] * 5, [0.5] * 5, language="es"),
            scored([1.0], [0.5], language="it"),
        ],
        ignore_index=True,
    )
    figures = measure_sets(test.head(0), test, point=AS_IT_IS, parameters=evaluation_parameters)
    assert {name.split(".")[2] for name in figures if name.startswith("test.")} == {"all", "en"}
    assert np.isfinite(list(figures.values())).all()


def test_comments_are_measured_by_length_too(
    scored: Scored, evaluation_parameters: EvaluationParameters
) -> None:
    """Every comment of the test set is in exactly one range."""
    test = scored(*_random(300, 8))
    test["tokens"] = np.tile([8, 9, 16, 17, 30, 1], 50).astype(np.int32)
    figures = measure_sets(test.head(0), test, point=AS_IT_IS, parameters=evaluation_parameters)
    counts = {
        name: value for name, value in figures.items() if name.startswith("length.") and name.endswith("rows")
    }
    assert counts == {
        "length.toxic.to_8.rows": 100,
        "length.toxic.to_16.rows": 100,
        "length.toxic.over_16.rows": 100,
    }


def test_decisions_use_calibrated_scores(scored: Scored, evaluation_parameters: EvaluationParameters) -> None:
    """A threshold of 0.5 on halved scores gives fewer positive decisions than on raw ones."""
    test = scored(*_random(200, 9))
    lowered = AS_IT_IS.model_copy(
        update={"calibration": {label: {"*": Calibration(intercept=-1.0)} for label in LABELS}}
    )
    measured = [
        measure_sets(test.head(0), test, point=point, parameters=evaluation_parameters)
        for point in (AS_IT_IS, lowered)
    ]
    assert measured[1]["test.toxic.en.recall"] < measured[0]["test.toxic.en.recall"]
    assert measured[1]["test.toxic.en.auc"] == pytest.approx(measured[0]["test.toxic.en.auc"])
    assert measured[1]["test.toxic.en.ece"] != pytest.approx(measured[0]["test.toxic.en.ece"])
