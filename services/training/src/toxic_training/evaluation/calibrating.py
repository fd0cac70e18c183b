"""Fits calibration and operating thresholds on validation comments, which are never trained on.

The comments contain more toxic ones than a stream does, differently in every language. Calibration and
precision are therefore fitted on rows weighted to a given share of toxic comments (see
`toxic_training.evaluation.metrics`; parameters `calibration_toxic_share` and `deployment_toxic_share`).

Invariant: a slope is positive, so that calibration never reverses a ranking.
"""

import logging
from collections.abc import Iterator

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from toxic_core.contract import Calibration, Fit
from toxic_core.contract.reference import PrecisionCurve
from toxic_core.errors import InvalidDataError
from toxic_core.labels import LABELS, LabelName
from toxic_core.languages import ANY_LANGUAGE, LANGUAGES
from toxic_training.data.comments import LANGUAGE
from toxic_training.evaluation.metrics import (
    Floats,
    has_both_classes,
    lowest_thresholds,
    operating_threshold,
    share_weights,
)
from toxic_training.evaluation.operating_point import OperatingPoint
from toxic_training.evaluation.parameters import EvaluationParameters

logger = logging.getLogger(__name__)

DEFAULT_THRESHOLD = 0.5
"""Operating threshold of a label for which no threshold reaches the wanted precision."""

PRECISIONS = tuple(step / 100 for step in sorted({*range(5, 100, 5), *range(72, 100, 2), 99}))
"""Precisions of the curves, more of them where policies ask."""

_FEWEST_FLAGGED = 20
_EPSILON = 1e-7
_MAX_ITERATIONS = 1000


def fit_operating_point(
    validation: pd.DataFrame, thresholds: pd.DataFrame, parameters: EvaluationParameters
) -> OperatingPoint:
    """Return calibration and thresholds, both fitted on raw scores of comments that aren't trained on.

    A language has its own if it has at least `calibration_min_per_class` comments with the label and as many
    without it. Otherwise it has those of the languages of its script together, if these are enough.
    A label of `threshold_recall` has a lower threshold if its recall, on these comments and those of
    `thresholds`, needs one; a language needs `recall_min_positives` for one of its own. A precision curve is
    of a language's own comments, or of all. Without any validation comment, raises InvalidDataError.
    """
    if validation.empty:
        raise InvalidDataError(
            "No comment is left for calibration; lower train_fraction of a source in the parameters."
        )
    point = OperatingPoint(
        calibration={label: {ANY_LANGUAGE: Calibration()} for label in LABELS},
        thresholds={label: {ANY_LANGUAGE: DEFAULT_THRESHOLD} for label in LABELS},
        fits={label: {} for label in LABELS},
        precision_curves={label: {} for label in LABELS},
    )
    for label in LABELS:
        for language, rows in _groups(validation[validation[label].notna()], label, parameters):
            truth, scores = _truth_and_scores(rows, label)
            fitted = fit_platt(truth, scores, share_weights(rows, parameters.calibration_toxic_share))
            if fitted is not None:
                point.calibration[label][language] = fitted
            else:
                logger.warning(
                    "Scores of %s are lower where it is likelier (language %s); they stay uncalibrated",
                    label, language,
                )  # fmt: skip
            # Requests without a language get the calibration for any language, and its threshold.
            calibrated = point.calibrated(rows.assign(**{LANGUAGE: language}))
            weights = share_weights(calibrated, parameters.deployment_toxic_share)
            truth, scores = _truth_and_scores(calibrated, label)
            threshold = operating_threshold(
                truth, scores, precision=parameters.threshold_precision, weights=weights
            )
            if threshold is not None:
                point.thresholds[label][language] = threshold
            else:
                logger.warning(
                    "No threshold of %s has a precision of %g (language %s)",
                    label, parameters.threshold_precision, language,
                )  # fmt: skip
            languages = tuple(sorted(rows[LANGUAGE].unique()))
            if language == ANY_LANGUAGE or languages == (language,):
                point.precision_curves[label][language] = precision_curve(truth, scores, weights)
            point.fits[label][language] = Fit(
                rows=len(rows),
                positives=int(truth.sum()),
                languages=languages,
                threshold=None if threshold is None else f"precision {parameters.threshold_precision:g}",
            )
        if (recall := parameters.threshold_recall.get(label)) is not None:
            known = pd.concat([validation, thresholds], ignore_index=True)
            _lower_to_recall(point, label, known[known[label].notna()], recall=recall, parameters=parameters)
    return point


def precision_curve(truth: Floats, scores: Floats, weights: Floats) -> PrecisionCurve:
    """Return the lowest threshold for each of `PRECISIONS` that one reaches; all arguments are [rows]."""
    lowest = lowest_thresholds(truth, scores, precisions=PRECISIONS, weights=weights, fewest=_FEWEST_FLAGGED)
    # Of equal thresholds, the highest precision is the knot.
    knots = {threshold: precision for precision, threshold in lowest.items()}
    return PrecisionCurve(
        knots=tuple((precision, threshold) for threshold, precision in knots.items()),
        rows=len(truth),
        positives=int(truth.sum()),
    )


def fit_platt(truth: Floats, scores: Floats, weights: Floats) -> Calibration | None:
    """Fit Platt scaling (Platt, 1999) on the scores' logits; None if its slope isn't positive.

    The targets are Platt's smoothed ones instead of 0 and 1, so that the slope is finite even if the scores
    separate the classes completely. All arguments are float [rows]; `truth` has both classes, 0 and 1.
    """
    positives, negatives = (truth == 1).sum(), (truth == 0).sum()
    target = np.where(truth == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    clipped = np.clip(scores, _EPSILON, 1 - _EPSILON)
    logits = np.log(clipped) - np.log1p(-clipped)
    # A target between 0 and 1 is the same row twice, once with each outcome, in these proportions.
    fitted = LogisticRegression(C=np.inf, max_iter=_MAX_ITERATIONS).fit(
        np.concatenate([logits, logits])[:, np.newaxis],
        np.repeat([1, 0], len(truth)),
        sample_weight=np.concatenate([weights * target, weights * (1 - target)]),
    )
    slope, intercept = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    return Calibration(slope=slope, intercept=intercept) if slope > 0 else None


def _lower_to_recall(
    point: OperatingPoint,
    label: LabelName,
    known: pd.DataFrame,
    *,
    recall: float,
    parameters: EvaluationParameters,
) -> None:
    """Lower the label's thresholds, of any language and of each with enough positives, to reach a recall."""
    own = ((str(language), rows) for language, rows in known.groupby(LANGUAGE))
    for language, rows in [(ANY_LANGUAGE, known), *own]:
        positives = rows[rows[label] == 1]
        if len(positives) < parameters.recall_min_positives:
            continue
        scores = point.calibrated(positives.assign(**{LANGUAGE: language}))[f"score_{label}"].to_numpy()
        threshold = float(np.quantile(scores, 1 - recall, method="lower"))
        if threshold < point.threshold(label, language):
            point.thresholds[label][language] = threshold
            point.fits[label][language] = Fit(
                rows=len(rows),
                positives=len(positives),
                languages=tuple(sorted(rows[LANGUAGE].unique())),
                threshold=f"recall {recall:g}",
            )


def _groups(
    labelled: pd.DataFrame, label: LabelName, parameters: EvaluationParameters
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows of all languages as `*`, then those for each language, its own or of its script."""

    def enough(rows: pd.DataFrame) -> bool:
        return min((rows[label] == 1).sum(), (rows[label] == 0).sum()) >= parameters.calibration_min_per_class

    if has_both_classes(labelled[label].to_numpy(np.float64)):
        yield ANY_LANGUAGE, labelled
    own = {str(language): rows for language, rows in labelled.groupby(LANGUAGE)}
    scripts = {language.value: language.scripts for language in LANGUAGES}
    for language in sorted(own.keys() | scripts.keys()):
        rows = own.get(language, labelled.iloc[:0])
        if not enough(rows) and language in scripts:
            same = [other for other, used in scripts.items() if used == scripts[language]]
            rows = labelled[labelled[LANGUAGE].isin(same)]
        if enough(rows):
            yield language, rows


def _truth_and_scores(rows: pd.DataFrame, label: LabelName) -> tuple[Floats, Floats]:
    return rows[label].to_numpy(np.float64), rows[f"score_{label}"].to_numpy(np.float64)
