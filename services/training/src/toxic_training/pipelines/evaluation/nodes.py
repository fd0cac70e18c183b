"""What the exported model is worth, and how its scores are read: plain functions."""

import keras
import numpy as np
import pandas as pd

from toxic_core.languages import ANY_LANGUAGE
from toxic_training.calibrating import fit_operating_point
from toxic_training.classifier import Encoder
from toxic_training.comments import ID, LABEL_COLUMNS, LANGUAGE, SOURCE, TEXT
from toxic_training.exported import ExportedModel, ExportFacts, ExportParts
from toxic_training.measuring import ALL, TOKENS, by_language, measure_sets
from toxic_training.metrics import Floats
from toxic_training.operating_point import SCORE_COLUMNS, OperatingPoint
from toxic_training.parameters import EvaluationParameters, ModellingParameters
from toxic_training.scoring import SavedModelScorer, Scorer
from toxic_training.shares import share_weights

__all__ = ["describe_reference", "evaluate", "fit_operating_point", "prepare_export", "score_with_export"]


def prepare_export(classifier: keras.Model, encoder: Encoder, parameters: ModellingParameters) -> ExportParts:
    """Return what is exported, to be measured and then served."""
    facts = ExportFacts(max_tokens=parameters.max_tokens, pad_id=encoder.pad_id, encoder=parameters.encoder)
    return ExportParts(classifier=classifier, encoder=encoder, facts=facts)


def score_with_export(
    model: ExportedModel, comments: pd.DataFrame, parameters: EvaluationParameters
) -> pd.DataFrame:
    """Return `comments` without their texts, with the exported model's raw scores."""
    return score_comments(SavedModelScorer(model, batch_tokens=parameters.batch_tokens), comments)


def score_comments(scorer: Scorer, comments: pd.DataFrame) -> pd.DataFrame:
    """Return `comments` without their texts, with `score_<label>` for every label and `tokens`."""
    scored = scorer.score(comments[TEXT].tolist())
    table = comments[[ID, LANGUAGE, SOURCE, *LABEL_COLUMNS]].copy()
    table[SCORE_COLUMNS] = scored.scores
    table[TOKENS] = scored.tokens
    return table


def describe_reference(
    validation: pd.DataFrame, point: OperatingPoint, parameters: EvaluationParameters
) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Return each label's histogram of calibrated scores on validation comments by language, `*` over all.

    Rows are weighted to the share of toxic comments in deployment, so that what is served is compared with
    what was to be expected. A histogram has `edges` and `counts`, as `contract.json` holds them.
    """
    edges = np.linspace(0.0, 1.0, parameters.reference_bins + 1)
    groups = by_language(point.calibrated(validation), parameters)
    return {
        label: {
            ANY_LANGUAGE if language == ALL else language: {
                "edges": edges.tolist(),
                "counts": _histogram(rows, label, edges, parameters),
            }
            for language, rows in groups.items()
        }
        for label in LABEL_COLUMNS
    }


def evaluate(
    validation: pd.DataFrame, test: pd.DataFrame, point: OperatingPoint, parameters: EvaluationParameters
) -> dict[str, float]:
    """Return every figure by name; see `toxic_training.measuring`."""
    return measure_sets(validation, test, point=point, parameters=parameters)


def _histogram(
    rows: pd.DataFrame, label: str, edges: Floats, parameters: EvaluationParameters
) -> list[float]:
    weights = share_weights(rows, parameters.deployment_toxic_share)
    counts, _ = np.histogram(rows[f"score_{label}"], edges, weights=weights)
    return [round(count) for count in counts.tolist()]
