from dataclasses import replace

import keras
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from toxic_model.precision import Precision
from toxic_model.runtimes import OPENVINO, TENSORFLOW
from toxic_training.evaluation import precision as measuring
from toxic_training.evaluation.parameters import EvaluationParameters
from toxic_training.evaluation.precision import measure_precision
from toxic_training.kedro_project.pipelines.evaluation.nodes import score_comments
from toxic_training.modelling.classifier import Encoder, build_classifier
from toxic_training.scoring.exported import ExportedModel, ExportParts, read_export, write_export
from toxic_training.scoring.texts import open_scorer

pytestmark = pytest.mark.slow

Made = tuple[Encoder, keras.Model, ExportedModel]


@pytest.mark.parametrize("precision", ["int8", "bfloat16"])
def test_what_a_lower_precision_costs(
    made: Made,
    corpus: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    precision: str,
    evaluation_parameters: EvaluationParameters,
) -> None:
    """The change of AUC is that between scores in float32 and the same comments' scores in the other."""
    *_, exported = made
    parameters = evaluation_parameters.model_copy(update={"max_windows": 1, "precision_comments": 30})
    exact = score_comments(exported, corpus, parameters)
    capable = replace(OPENVINO, lower_precisions=lambda: tuple(Precision))
    monkeypatch.setattr(measuring, "RUNTIMES", (capable,))
    figures = measure_precision(exported, corpus, exact, parameters)
    assert figures[f"serving.{precision}.comments"] == 30
    change = figures[f"serving.{precision}.score_change"]
    assert 0.0 <= change < 0.02
    if precision == "int8" or Precision(precision) in OPENVINO.lower_precisions():
        assert change > 0.0, "a CPU without these instructions may compute in float32; this one has them"
    assert 0.0 <= figures[f"serving.{precision}.auc_change"] <= 1.0

    ranked_apart = exact.assign(score_toxic=1.0 - corpus["toxic"])
    whole = parameters.model_copy(update={"precision_comments": 40})
    turned = measure_precision(exported, corpus, ranked_apart, whole)
    rescored = open_scorer(exported, parameters.reading)(corpus["text"].tolist()).scores[:, 0]
    assert turned[f"serving.{precision}.auc_change"] == pytest.approx(
        roc_auc_score(corpus["toxic"].to_numpy(), rescored), abs=0.02
    )


def test_a_model_s_own_labels_are_compared(
    made: Made,
    corpus: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    evaluation_parameters: EvaluationParameters,
) -> None:
    """A bundle may have fewer labels than training uses now."""
    encoder, _, exported = made
    folder = exported.folder.with_name("fewer")
    classifier = build_classifier(encoder.load_backbone(), dropout=0.0, train_embeddings=True, labels=1)
    facts = exported.facts.model_copy(update={"labels": ("toxic",)})
    write_export(ExportParts(classifier=classifier, encoder=encoder, facts=facts), folder)
    fewer = read_export(folder)
    exact = score_comments(fewer, corpus, evaluation_parameters)
    monkeypatch.setattr(
        measuring, "RUNTIMES", (replace(OPENVINO, lower_precisions=lambda: tuple(Precision)),)
    )
    figures = measure_precision(fewer, corpus, exact, evaluation_parameters)
    assert 0.0 <= figures["serving.int8.score_change"] < 0.02


def test_nothing_is_said_of_a_precision_that_this_cpu_hasn_t_got(
    made: Made,
    corpus: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    evaluation_parameters: EvaluationParameters,
) -> None:
    """A figure from pretended arithmetic would let servers use the real one unmeasured."""
    *_, exported = made
    monkeypatch.setattr(measuring, "RUNTIMES", (TENSORFLOW,))
    assert measure_precision(exported, corpus, corpus, evaluation_parameters) == {}
