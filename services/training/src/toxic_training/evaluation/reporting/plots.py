"""The data of the report's plots, independent of how they are drawn.

Curves have at most `_MAX_POINTS` points and are of at most `_MAX_LANGUAGES` languages, those with the lowest
AUCs. Bars are at most `_MAX_BARS`, the lowest. So the report stays small and its labels legible.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve, roc_auc_score, roc_curve

from toxic_core.labels import Label
from toxic_training.evaluation.measuring import ALL, by_language
from toxic_training.evaluation.metrics import Floats, Rows, has_both_classes, reliability, share_weights
from toxic_training.evaluation.parameters import EvaluationParameters
from toxic_training.evaluation.reporting.figures import Figures, find, groups, languages
from toxic_training.evaluation.reporting.published import MULTILINGUAL_AUC

PLOTS = ("roc", "precision_recall", "reliability", "thresholds", "languages", "functionalities")
"""Names of the report's plots, in order."""

_MAX_POINTS = 150
_MAX_LANGUAGES = 7
_MAX_BARS = 40
_SCORE = f"score_{Label.TOXIC}"


@dataclass(frozen=True, slots=True)
class Series:
    """One line, or one set of named bars, with the distances from `y` to the ends of intervals, if any."""

    name: str
    x: Sequence[float] | Sequence[str]
    y: Sequence[float]
    below: Sequence[float] = ()
    above: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot, perhaps with the diagonal of chance. Axes of numbers go from 0 to 1."""

    title: str
    x_title: str
    y_title: str
    kind: Literal["lines", "bars"]
    series: Sequence[Series]
    diagonal: bool = False


def curve_plots(test: pd.DataFrame, parameters: EvaluationParameters) -> tuple[Plot, Plot, Plot, Plot]:
    """Return the curves of `toxic` on calibrated test scores, by language.

    ROC; precision by recall; the observed share of toxic comments by score; and precision and recall by
    threshold on all languages. Rows are weighted to the deployment's share of toxic comments, for reliability
    to the calibration's.
    """
    roc, precision_recall, reliable, thresholded = [], [], [], []
    labelled = test[test[Label.TOXIC].notna()]
    for name, rows in _lowest(by_language(labelled, parameters)).items():
        truth, scores = (rows[column].to_numpy(np.float64) for column in (Label.TOXIC, _SCORE))
        false_positives, hits, _ = roc_curve(truth, scores)
        roc.append(_line(name, false_positives, hits))
        weights = share_weights(rows, parameters.deployment_toxic_share)
        precision, recall, thresholds = precision_recall_curve(truth, scores, sample_weight=weights)
        precision_recall.append(_line(name, recall, precision))
        weighted = Rows.of(truth, scores, share_weights(rows, parameters.calibration_toxic_share))
        curve = reliability(weighted, bins=parameters.calibration_bins)
        reliable.append(_line(name, curve.predicted, curve.observed))
        if name == ALL:
            for title, values in (("precision", precision), ("recall", recall)):
                thresholded.append(_line(title, thresholds, values[: len(thresholds)]))
    deployed, calibrated = (
        f"test, {share:.0%} toxic"
        for share in (parameters.deployment_toxic_share, parameters.calibration_toxic_share)
    )
    observed = ("calibrated score", "share that is toxic")
    return (
        Plot("ROC of toxic, test", "false positive rate", "recall", "lines", roc, diagonal=True),
        Plot(f"Precision and recall of toxic, {deployed}", "recall", "precision", "lines", precision_recall),
        Plot(f"Reliability of toxic, {calibrated}", *observed, "lines", reliable, diagonal=True),
        Plot(f"Thresholds of toxic, {deployed}", "threshold", "share", "lines", thresholded),
    )


def language_plot(figures: Figures) -> Plot:
    """Return the AUC of `toxic` by language, with Detoxify's published ones."""
    codes = _weakest(languages(figures), figures, "test.toxic.{}.auc")
    published = [code for code in codes if code in MULTILINGUAL_AUC]
    title = "Detoxify multilingual, published, other splits"
    series = [
        _bars("this model", codes, figures, "test.toxic.{}.auc"),
        _bars("champion", codes, figures, "comparison.toxic.{}.champion_auc"),
        Series(title, published, [MULTILINGUAL_AUC[code] for code in published]),
    ]
    return Plot("AUC of toxic by language, test", "language", "AUC", "bars", [s for s in series if s.y])


def functionality_plot(figures: Figures) -> Plot:
    """Return HateCheck accuracy by functionality."""
    names = groups(figures, r"hatecheck\.(\w+_n?h)\.identity_accuracy")
    names = _weakest(names, figures, "hatecheck.{}.identity_accuracy")
    harmless = [name for name in names if name.endswith("_nh")]
    kinds = {"hateful": [name for name in names if name not in harmless], "not hateful": harmless}
    series = [
        _bars(kind, kinds[kind], figures, "hatecheck.{}.identity_accuracy") for kind in kinds if kinds[kind]
    ]
    return Plot("HateCheck, decisions of identity_hate", "functionality", "accuracy", "bars", series)


def _lowest(groups: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return all rows, and those of the languages with the lowest AUCs; without groups of one class."""
    rankable = {name: rows for name, rows in groups.items() if has_both_classes(rows[Label.TOXIC].to_numpy())}
    aucs = {
        name: float(roc_auc_score(rows[Label.TOXIC], rows[_SCORE]))
        for name, rows in rankable.items()
        if name != ALL
    }
    by_auc = sorted(aucs, key=aucs.__getitem__)
    kept = {ALL, *by_auc[:_MAX_LANGUAGES]}
    return {name: rows for name, rows in rankable.items() if name in kept}


def _weakest(keys: list[str], figures: Figures, pattern: str) -> list[str]:
    """Return the keys with the lowest figures, in the order of `keys`."""
    kept = set(sorted(keys, key=lambda key: figures[pattern.format(key)])[:_MAX_BARS])
    return [key for key in keys if key in kept]


def _line(name: str, x: Floats, y: Floats) -> Series:
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), _MAX_POINTS)).round().astype(int))
    return Series(name, x[kept].round(5).tolist(), y[kept].round(5).tolist())


def _bars(name: str, keys: list[str], figures: Figures, pattern: str) -> Series:
    found = {key: find(figures, pattern.format(key)) for key in keys}
    existing = {key: figure for key, figure in found.items() if figure is not None}
    ends = [(f.value, f.low, f.high) for f in existing.values() if f.low is not None and f.high is not None]
    return Series(
        name,
        list(existing),
        [figure.value for figure in existing.values()],
        below=[max(0.0, value - low) for value, low, _ in ends],
        above=[max(0.0, high - value) for value, _, high in ends],
    )
