"""From an exported model to its figures and operating point: plain functions."""

import time
from collections.abc import Sequence

import keras
import numpy as np
import pandas as pd

from toxic_core.contract import Bundle
from toxic_core.contract.reference import LENGTH_EDGES, Distribution, ReferenceTraffic
from toxic_core.labels import LABELS, LabelName
from toxic_core.languages import ANY_LANGUAGE
from toxic_model.scoring import ScoringOptions
from toxic_training.data.comments import LABEL_COLUMNS, LANGUAGE, TEXT
from toxic_training.data.suites import tidy_hatecheck, tidy_templates
from toxic_training.evaluation import precision
from toxic_training.evaluation.bias import measure_bias
from toxic_training.evaluation.calibrating import fit_operating_point
from toxic_training.evaluation.comparison import compare
from toxic_training.evaluation.cost import measure_latency, measure_size
from toxic_training.evaluation.hatecheck import measure_hatecheck
from toxic_training.evaluation.measuring import ALL, TOKENS, by_language, measure_sets, resampling_of
from toxic_training.evaluation.operating_point import OperatingPoint, score_columns
from toxic_training.evaluation.parameters import EvaluationParameters
from toxic_training.evaluation.shares import share_weights
from toxic_training.modelling.classifier import Encoder
from toxic_training.modelling.parameters import ModellingParameters
from toxic_training.scoring.exported import ExportedModel, ExportFacts, ExportParts
from toxic_training.scoring.texts import Clock, Score, median_comment, open_scorer

__all__ = ["fit_operating_point", "tidy_hatecheck", "tidy_templates"]


def prepare_export(classifier: keras.Model, encoder: Encoder, parameters: ModellingParameters) -> ExportParts:
    """Return the parts of the export that is measured and then served."""
    facts = ExportFacts(max_tokens=parameters.max_tokens, pad_id=encoder.pad_id, encoder=parameters.encoder)
    return ExportParts(classifier=classifier, encoder=encoder, facts=facts)


def open_model(bundle: Bundle) -> ExportedModel:
    """Return the model in a bundle."""
    return ExportedModel.of(bundle)


def open_operating_point(bundle: Bundle) -> OperatingPoint:
    """Return the calibration and thresholds of a bundle's contract."""
    return OperatingPoint.of(bundle.contract)


def score_with_export(
    model: ExportedModel, comments: pd.DataFrame, parameters: EvaluationParameters
) -> pd.DataFrame:
    """Return `comments` without their texts, with the exported model's raw scores."""
    scorer = open_scorer(model, _options(parameters))
    return score_comments(scorer, comments, labels=model.facts.labels)


def score_comments(
    score: Score, comments: pd.DataFrame, *, labels: Sequence[LabelName] = LABELS
) -> pd.DataFrame:
    """Return `comments` without their texts, with `score_<label>` for every label and `tokens`."""
    scored = score(comments[TEXT].tolist())
    table = comments.drop(columns=TEXT)
    table[score_columns(labels)] = scored.scores
    table[TOKENS] = scored.tokens
    return table


def describe_reference(
    validation: pd.DataFrame, point: OperatingPoint, parameters: EvaluationParameters
) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Return each label's histogram of calibrated scores on validation comments by language, `*` over all.

    Rows are weighted to the share of toxic comments in deployment, so that served scores can be compared with
    them. A histogram has `edges` and `counts`, as in `contract.json`.
    """
    edges = np.linspace(0.0, 1.0, parameters.reference_bins + 1)
    found: dict[str, dict[str, dict[str, list[float]]]] = {label: {} for label in LABEL_COLUMNS}
    for language, rows in by_language(point.calibrated(validation), parameters).items():
        weights = share_weights(rows, parameters.deployment_toxic_share)
        for label in LABEL_COLUMNS:
            counts, _ = np.histogram(rows[f"score_{label}"], edges, weights=weights)
            found[label][ANY_LANGUAGE if language == ALL else language] = {
                "edges": edges.tolist(),
                "counts": [round(count) for count in counts.tolist()],
            }
    return found


def describe_traffic(validation: pd.DataFrame, parameters: EvaluationParameters) -> dict[str, object]:
    """Return the languages and lengths of validation comments, weighted as the reference scores are.

    The result has the form of a `ReferenceTraffic` in `contract.json`.
    """
    weights = pd.Series(share_weights(validation, parameters.deployment_toxic_share), validation.index)
    tokens = validation[TOKENS].to_numpy(np.float64).clip(LENGTH_EDGES[0], LENGTH_EDGES[-1])
    lengths, _ = np.histogram(tokens, LENGTH_EDGES, weights=weights)
    languages = weights.groupby(validation[LANGUAGE]).sum()
    return ReferenceTraffic(
        languages={str(name): round(count) for name, count in languages.items()},
        lengths=Distribution(edges=LENGTH_EDGES, counts=tuple(round(count) for count in lengths.tolist())),
        calibration_toxic_share=parameters.calibration_toxic_share,
        deployment_toxic_share=parameters.deployment_toxic_share,
    ).model_dump(mode="json")


def measure_comments(
    validation: pd.DataFrame, test: pd.DataFrame, point: OperatingPoint, parameters: EvaluationParameters
) -> dict[str, float]:
    """Return every figure on labelled comments; see `toxic_training.evaluation.measuring`."""
    return measure_sets(validation, test, point=point, parameters=parameters)


def measure_suites(
    templates: pd.DataFrame,
    hatecheck: pd.DataFrame,
    point: OperatingPoint,
    parameters: EvaluationParameters,
) -> dict[str, float]:
    """Return bias and HateCheck figures."""
    resampling = resampling_of(parameters)
    return measure_bias(templates, resampling) | measure_hatecheck(hatecheck, point, resampling)


def score_with_champion(
    champion: Bundle | None, comments: pd.DataFrame, parameters: EvaluationParameters
) -> pd.DataFrame:
    """Return the champion's calibrated scores of `comments`; an empty table if there is no champion."""
    if champion is None:
        return pd.DataFrame()
    scores = score_with_export(ExportedModel.of(champion), comments, parameters)
    return OperatingPoint.of(champion.contract).calibrated(scores)


def compare_with_champion(
    test: pd.DataFrame, champion: pd.DataFrame, point: OperatingPoint, parameters: EvaluationParameters
) -> dict[str, float]:
    """Return the differences from the champion; see `toxic_training.evaluation.comparison`."""
    return compare(point.calibrated(test), champion, parameters)


def measure_cost(
    model: ExportedModel,
    test: pd.DataFrame,
    parameters: EvaluationParameters,
    clock: Clock = time.perf_counter,
) -> dict[str, float]:
    """Return size and latency of the exported model; latency on a test comment of median length."""
    score = open_scorer(model, _options(parameters))
    texts = test[TEXT].tolist()
    text = texts[median_comment(np.array([len(text) for text in texts], dtype=np.int32))]
    return measure_size(model) | measure_latency(score, text, clock=clock)


def measure_precision(
    model: ExportedModel, comments: pd.DataFrame, scored: pd.DataFrame, parameters: EvaluationParameters
) -> dict[str, float]:
    """Return how lower precisions than float32 change AUCs and scores."""
    return precision.measure_precision(
        model, comments, scored, options=_options(parameters), most=parameters.precision_comments
    )


def collect_figures(*parts: dict[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """Return all figures together, once for the report and once for the run."""
    figures = {name: value for part in parts for name, value in part.items()}
    return figures, figures


def _options(parameters: EvaluationParameters) -> ScoringOptions:
    return ScoringOptions(
        batch_tokens=parameters.batch_tokens,
        max_windows=parameters.max_windows,
        overlap=parameters.window_overlap_tokens,
    )
