from dataclasses import replace

import keras
import pandas as pd
import pytest

from toxic_model.precision import Precision
from toxic_model.runtimes import OPENVINO, TENSORFLOW
from toxic_model.scoring import ScoringOptions
from toxic_training.evaluation import precision as measuring
from toxic_training.evaluation.metrics import auc
from toxic_training.evaluation.precision import measure_precision
from toxic_training.kedro_project.pipelines.evaluation.nodes import score_comments
from toxic_training.modelling.classifier import Encoder
from toxic_training.scoring.exported import ExportedModel
from toxic_training.scoring.texts import open_scorer

Made = tuple[Encoder, keras.Model, ExportedModel]


@pytest.mark.parametrize("precision", ["int8", "bfloat16"])
def test_what_a_lower_precision_costs(
    made: Made, corpus: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    """The change of AUC is that between scores in float32 and the same comments' scores in the other."""
    *_, exported = made
    options = ScoringOptions(batch_tokens=256)
    exact = score_comments(open_scorer(exported, options), corpus)
    capable = replace(OPENVINO, lower_precisions=lambda: tuple(Precision))
    monkeypatch.setattr(measuring, "RUNTIMES", (capable,))
    figures = measure_precision(exported, corpus, exact, options=options, most=30)
    assert figures[f"serving.{precision}.comments"] == 30
    assert 0.0 < figures[f"serving.{precision}.score_change"] < 0.02
    assert 0.0 <= figures[f"serving.{precision}.auc_change"] <= 1.0

    ranked_apart = exact.assign(score_toxic=1.0 - corpus["toxic"])
    turned = measure_precision(exported, corpus, ranked_apart, options=options, most=40)
    rescored = open_scorer(exported, options)(corpus["text"].tolist()).scores[:, 0]
    assert turned[f"serving.{precision}.auc_change"] == pytest.approx(
        auc(corpus["toxic"].to_numpy(), rescored), abs=0.02
    )


def test_nothing_is_said_of_a_precision_that_this_cpu_hasn_t_got(
    made: Made, corpus: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A figure from pretended arithmetic would let servers use the real one unmeasured."""
    *_, exported = made
    monkeypatch.setattr(measuring, "RUNTIMES", (TENSORFLOW,))
    assert (
        measure_precision(exported, corpus, corpus, options=ScoringOptions(batch_tokens=256), most=30) == {}
    )
