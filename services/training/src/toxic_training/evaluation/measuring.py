"""Measures a model on labelled comments, by set, label and language.

The figures' names are `<set>.<label>.<language>.<figure>`, with language `all` over all rows. Sets are
`test`, `heldout` (rows of the train file that were never trained on) and the other tables of test and
validation comments by their names. The figures:

    rows, positives         numbers of rows
    auc, average_precision  on unweighted rows
    log_loss, ece           of calibrated scores, rows weighted to `calibration_toxic_share`
    ece_unweighted          of calibrated scores, on unweighted rows
    ece_uncalibrated        of raw scores, rows weighted to `calibration_toxic_share`
    recall, false_positive_rate, precision
                            of decisions at the operating threshold; the last in a stream with
                            `deployment_toxic_share`

A set of several origins also has `<set>.origins.<language>.<origin>.auc`, the AUC of `toxic` on one of them,
`<set>.origins.<language>.auc`, their mean, and over languages `<set>.origins.mean.auc` and `.lowest.auc`.

`auc`, `average_precision`, `log_loss` and `ece` have the ends of their bootstrap intervals, `_low` and
`_high`. The test set also has `length.<label>.<tokens>.<figure>`, by the number of tokens, and a set with all
labels has their mean AUC as `<set>.mean.<language>.auc`.

Invariant: a figure that is undefined, or whose group is too small, is absent.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from toxic_core.labels import LABELS, Label, LabelName
from toxic_training.data.comments import LABEL_COLUMNS, LANGUAGE, ORIGIN, SOURCE
from toxic_training.evaluation.metrics import (
    Floats,
    Rows,
    auc_of,
    average_precision_of,
    calibration_error_of,
    decision_rates,
    has_both_classes,
    log_loss_of,
    share_weights,
)
from toxic_training.evaluation.operating_point import SCORE_COLUMNS, OperatingPoint
from toxic_training.evaluation.parameters import EvaluationParameters
from toxic_training.evaluation.resampling import auc_interval, intervals

ALL = "all"
MEAN = "mean"
TEST = "test"
TOKENS = "tokens"
SET_OF_SOURCE = {"train": "heldout"}
"""The set's name for a source's validation rows, if it isn't the source's own name."""

Figures = dict[str, float]


def measure_sets(
    validation: pd.DataFrame, test: pd.DataFrame, point: OperatingPoint, parameters: EvaluationParameters
) -> Figures:
    """Return every figure of raw scores on validation and test comments, by name."""
    meter = _Meter(point, parameters)
    figures: Figures = {}
    sets = [(SET_OF_SOURCE.get(str(name), str(name)), rows) for name, rows in validation.groupby(SOURCE)]
    tests = [(str(name), rows) for name, rows in test.groupby(SOURCE)]
    for name, table in [*sets, *tests]:
        calibrated = point.calibrated(table)
        for language, rows in by_language(calibrated, parameters).items():
            for label in (label for label in LABELS if label in point.labels):
                figures |= meter.measure(f"{name}.{label}.{language}", rows, label)
            figures |= meter.mean_auc(f"{name}.{MEAN}.{language}", rows)
        figures |= meter.by_origin(f"{name}.origins", calibrated)
    own = point.calibrated(test[test[SOURCE] == TEST])
    for name, rows in by_length(own, parameters).items():
        figures |= meter.measure_slice(f"length.{Label.TOXIC}.{name}", rows)
    return figures


def by_language(table: pd.DataFrame, parameters: EvaluationParameters) -> dict[str, pd.DataFrame]:
    """Return the rows of all languages as `all`, then those of each language that has enough."""
    groups = {
        str(language): rows
        for language, rows in table.groupby(LANGUAGE)
        if len(rows) >= parameters.min_rows_per_language
    }
    return {ALL: table, **groups}


def by_length(table: pd.DataFrame, parameters: EvaluationParameters) -> dict[str, pd.DataFrame]:
    """Return the rows of each range of lengths in tokens that has enough."""
    last = parameters.length_edges[-1]
    groups = {
        f"to_{high}": table[(table[TOKENS] > low) & (table[TOKENS] <= high)]
        for low, high in pairwise([0, *parameters.length_edges])
    } | {f"over_{last}": table[table[TOKENS] > last]}
    return {name: rows for name, rows in groups.items() if len(rows) >= parameters.min_rows_per_language}


@dataclass(frozen=True, slots=True)
class _Meter:
    """Measures rows of calibrated scores."""

    point: OperatingPoint
    parameters: EvaluationParameters

    def measure(self, key: str, rows: pd.DataFrame, label: LabelName) -> Figures:
        """Return all figures of a label; none if a class is missing."""
        labelled = rows[rows[label].notna()]
        truth = labelled[label].to_numpy(np.float64)
        if not has_both_classes(truth):
            return {}
        scores, raw = (labelled[f"{kind}_{label}"].to_numpy(np.float64) for kind in ("score", "raw"))
        weights = share_weights(labelled, self.parameters.calibration_toxic_share)
        bins = self.parameters.calibration_bins
        plain, weighted = Rows.of(truth, scores), Rows.of(truth, scores, weights)

        def statistic(counts: Floats) -> Floats:
            ranked, probable = plain.resampled(counts), weighted.resampled(counts)
            ranking = [auc_of(ranked), average_precision_of(ranked)]
            return np.array([*ranking, log_loss_of(probable), calibration_error_of(probable, bins=bins)])

        auc, precision, loss, error = intervals(statistic, truth, self.parameters.resampling)
        return {
            f"{key}.rows": float(truth.size),
            f"{key}.positives": float(truth.sum()),
            **auc.named(f"{key}.auc"),
            **precision.named(f"{key}.average_precision"),
            **loss.named(f"{key}.log_loss"),
            **error.without_bias().named(f"{key}.ece"),
            f"{key}.ece_unweighted": calibration_error_of(plain, bins=bins),
            f"{key}.ece_uncalibrated": calibration_error_of(Rows.of(truth, raw, weights), bins=bins),
            **self._decisions(key, labelled, label),
        }

    def measure_slice(self, key: str, rows: pd.DataFrame) -> Figures:
        """Return AUC and decisions of `toxic`; none if a class is missing."""
        labelled = rows[rows[Label.TOXIC].notna()]
        truth = labelled[Label.TOXIC].to_numpy(np.float64)
        if not has_both_classes(truth):
            return {}
        scores = labelled[f"score_{Label.TOXIC}"].to_numpy(np.float64)
        return {
            f"{key}.rows": float(truth.size),
            **auc_interval(truth, scores, self.parameters.resampling).named(f"{key}.auc"),
            **self._decisions(key, labelled, Label.TOXIC),
        }

    def by_origin(self, key: str, rows: pd.DataFrame) -> Figures:
        """Return the AUCs of `toxic` by language and origin, and their means; none of a single origin."""
        labelled = rows[rows[Label.TOXIC].notna()]
        if labelled[ORIGIN].nunique() < 2:  # noqa: PLR2004 - several
            return {}
        figures: Figures = {}
        means: dict[str, float] = {}
        for language, own in labelled.groupby(LANGUAGE):
            aucs = []
            for origin, group in own.groupby(ORIGIN):
                truth = group[Label.TOXIC].to_numpy(np.float64)
                if len(group) >= self.parameters.min_rows_per_origin and has_both_classes(truth):
                    scores = group[f"score_{Label.TOXIC}"].to_numpy(np.float64)
                    interval = auc_interval(truth, scores, self.parameters.resampling)
                    figures |= interval.named(f"{key}.{language}.{origin}.auc")
                    aucs.append(interval.value)
            if aucs:
                means[str(language)] = figures[f"{key}.{language}.auc"] = float(np.mean(aucs))
        if means:
            figures |= {f"{key}.{MEAN}.auc": float(np.mean(list(means.values())))}
            figures |= {f"{key}.lowest.auc": min(means.values())}
        return figures

    def mean_auc(self, key: str, rows: pd.DataFrame) -> Figures:
        """Return the mean AUC over labels, if the model and every row have all, and both classes occur."""
        if not set(LABELS) <= set(self.point.labels):
            return {}
        labels = rows[LABEL_COLUMNS].to_numpy(np.float64)
        if np.isnan(labels).any() or not all(has_both_classes(column) for column in labels.T):
            return {}
        scores = rows[SCORE_COLUMNS].to_numpy(np.float64)
        columns = [Rows.of(truth, score) for truth, score in zip(labels.T, scores.T, strict=True)]

        def statistic(counts: Floats) -> Floats:
            return np.array([np.mean([auc_of(column.resampled(counts)) for column in columns])])

        strata = rows[Label.TOXIC].to_numpy(np.float64)
        (interval,) = intervals(statistic, strata, self.parameters.resampling)
        return interval.named(f"{key}.auc")

    def _decisions(self, key: str, labelled: pd.DataFrame, label: LabelName) -> Figures:
        rates = decision_rates(
            labelled[label].to_numpy(np.float64),
            self.point.decisions(labelled, label),
            share_weights(labelled, self.parameters.deployment_toxic_share),
        )
        return {f"{key}.{name}": value for name, value in rates.items() if np.isfinite(value)}
