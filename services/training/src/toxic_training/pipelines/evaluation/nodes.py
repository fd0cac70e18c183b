"""What the classifier is worth: plain functions."""

import keras
import numpy as np
import pandas as pd
from keras import ops

from toxic_core.contract import ATTENTION_MASK, INPUT_IDS
from toxic_core.labels import LABELS
from toxic_core.languages import ANY_LANGUAGE
from toxic_training.batches import pad_to_step
from toxic_training.classifier import Encoder
from toxic_training.comments import ID, LABEL_COLUMNS, LANGUAGE, SOURCE, TEXT
from toxic_training.fitting import bar_verbosity
from toxic_training.metrics import (
    Floats,
    auc_interval,
    average_precision,
    has_both_classes,
    operating_threshold,
)
from toxic_training.parameters import EvaluationParameters, ModellingParameters

DEFAULT_THRESHOLD = 0.5
"""Operating threshold of a label for which no threshold reaches the wanted precision."""


def score_comments(
    *,
    classifier: keras.Model,
    encoder: Encoder,
    comments: pd.DataFrame,
    evaluation: EvaluationParameters,
    modelling: ModellingParameters,
) -> pd.DataFrame:
    """Return `comments` without their texts, with a column `score_<label>` for every label."""
    token_ids = encoder.tokeniser(max_tokens=modelling.max_tokens).token_ids(comments[TEXT].tolist())
    classifier.jit_compile = False  # XLA would compile every batch length anew
    order = np.argsort([len(row) for row in token_ids], kind="stable")
    scores = np.zeros((len(token_ids), len(LABELS)), dtype=np.float32)
    progress = keras.utils.Progbar(len(order), verbose=bar_verbosity(), unit_name="comment")
    for start in range(0, len(order), evaluation.batch_size):
        rows = order[start : start + evaluation.batch_size]
        batch = pad_to_step([token_ids[row] for row in rows], pad_id=encoder.pad_id)
        inputs = {INPUT_IDS: batch.input_ids, ATTENTION_MASK: batch.attention_mask}
        scores[rows] = ops.convert_to_numpy(ops.sigmoid(classifier.predict_on_batch(inputs)))
        progress.update(start + len(rows))
    scored = comments[[ID, LANGUAGE, SOURCE, *LABEL_COLUMNS]].copy()
    scored[[f"score_{label}" for label in LABEL_COLUMNS]] = scores
    return scored


def choose_thresholds(validation: pd.DataFrame, parameters: EvaluationParameters) -> dict[str, float]:
    """Return each label's operating threshold for the wanted precision, chosen on validation scores."""
    thresholds = {}
    for label in LABEL_COLUMNS:
        truth, scores = _labelled(validation, label)
        threshold = operating_threshold(truth, scores, precision=parameters.threshold_precision)
        thresholds[label] = DEFAULT_THRESHOLD if threshold is None else threshold
    return thresholds


def describe_reference(
    validation: pd.DataFrame, parameters: EvaluationParameters
) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Return each label's score histogram on validation comments by language, `*` over all.

    A histogram has `edges` and `counts`, as `contract.json` holds them.
    """
    edges = np.linspace(0.0, 1.0, parameters.reference_bins + 1)
    return {
        label: {
            language: {
                "edges": edges.tolist(),
                "counts": np.histogram(rows[f"score_{label}"], edges)[0].tolist(),
            }
            for language, rows in _by_language(validation, parameters).items()
        }
        for label in LABEL_COLUMNS
    }


def evaluate(
    validation: pd.DataFrame, test: pd.DataFrame, parameters: EvaluationParameters
) -> dict[str, float]:
    """Return every figure by name, `<set>.<label>.<language>.<figure>`, language `all` over all rows.

    AUC comes with the ends of its bootstrap interval. A figure that is undefined is left out.
    """
    figures: dict[str, float] = {}
    for name, table in (("validation", validation), ("test", test)):
        for label in LABEL_COLUMNS:
            for language, rows in _by_language(table, parameters).items():
                truth, scores = _labelled(rows, label)
                key = f"{name}.{label}.{'all' if language == ANY_LANGUAGE else language}"
                if has_both_classes(truth):
                    figures |= _figures(key, truth, scores, parameters)
    return figures


def _figures(key: str, truth: Floats, scores: Floats, parameters: EvaluationParameters) -> dict[str, float]:
    interval = auc_interval(
        truth,
        scores,
        samples=parameters.bootstrap_samples,
        confidence=parameters.confidence,
        seed=parameters.seed,
    )
    return {
        f"{key}.rows": float(truth.size),
        f"{key}.auc": interval.value,
        f"{key}.auc_low": interval.low,
        f"{key}.auc_high": interval.high,
        f"{key}.average_precision": average_precision(truth, scores),
    }


def _by_language(table: pd.DataFrame, parameters: EvaluationParameters) -> dict[str, pd.DataFrame]:
    groups = {
        str(language): rows
        for language, rows in table.groupby(LANGUAGE)
        if len(rows) >= parameters.min_rows_a_language
    }
    return {ANY_LANGUAGE: table, **groups}


def _labelled(table: pd.DataFrame, label: str) -> tuple[Floats, Floats]:
    labelled = table[table[label].notna()]
    return labelled[label].to_numpy(np.float64), labelled[f"score_{label}"].to_numpy(np.float64)
