"""What a set of scores is worth.

Invariant: a figure that can't be computed (too few rows, one class only) is absent, never made up.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its bootstrap confidence interval."""

    value: float
    low: float
    high: float


def has_both_classes(truth: Floats) -> bool:
    """Whether ranking metrics are defined on `truth`."""
    return bool(truth.size) and truth.min() != truth.max()


def auc(truth: Floats, scores: Floats) -> float:
    """Area under the ROC curve; `truth` and `scores` are float [rows], both classes present."""
    return float(roc_auc_score(truth, scores))


def average_precision(truth: Floats, scores: Floats) -> float:
    """Average precision; `truth` and `scores` are float [rows], both classes present."""
    return float(average_precision_score(truth, scores))


def auc_interval(truth: Floats, scores: Floats, *, samples: int, confidence: float, seed: int) -> Interval:
    """AUC with a percentile bootstrap interval (Efron, 1979), resampled within each class.

    Args:
        truth: 0 or 1, float [rows].
        scores: float [rows].
        samples: resamples; with 0 the interval is the value itself.
        confidence: coverage, 0 to 1.
        seed: of the resampling.
    """
    value = auc(truth, scores)
    if samples == 0:
        return Interval(value, value, value)
    generator = np.random.default_rng(seed)
    positive, negative = scores[truth == 1], scores[truth == 0]
    values = [
        _auc_of_sorted(
            generator.choice(positive, positive.size), np.sort(generator.choice(negative, negative.size))
        )
        for _ in range(samples)
    ]
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(value, float(low), float(high))


def _auc_of_sorted(positive: Floats, sorted_negative: Floats) -> float:
    """AUC as the Mann-Whitney statistic: the share of pairs in the right order, ties as half."""
    below = np.searchsorted(sorted_negative, positive, side="left")
    not_above = np.searchsorted(sorted_negative, positive, side="right")
    return float((below + not_above).mean() / 2 / sorted_negative.size)


def operating_threshold(truth: Floats, scores: Floats, *, precision: float) -> float | None:
    """Return the lowest threshold whose precision on these rows reaches `precision`, or None."""
    if not has_both_classes(truth):
        return None
    precisions, _, thresholds = precision_recall_curve(truth, scores)
    reached = np.flatnonzero(precisions[:-1] >= precision)
    return float(thresholds[reached[0]]) if reached.size else None


def as_mlflow_metrics(figures: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Return `figures` in the form that MLflow's metrics are logged in."""
    return {name: {"value": float(value), "step": 0} for name, value in figures.items()}
