"""What the report's plots show, apart from how they are drawn.

Invariant: a plot is small: curves are thinned to as many points as can be seen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve, roc_curve

from toxic_core.labels import Label
from toxic_training.evaluation.measuring import ALL, by_language
from toxic_training.evaluation.metrics import Floats, Rows, has_both_classes, reliability
from toxic_training.evaluation.parameters import EvaluationParameters
from toxic_training.evaluation.reporting.figures import Figures, find, groups, languages
from toxic_training.evaluation.reporting.published import MULTILINGUAL_AUC
from toxic_training.evaluation.shares import share_weights

_MOST_POINTS = 150
_SCORE = f"score_{Label.TOXIC}"


@dataclass(frozen=True, slots=True)
class Series:
    """One line, or one set of bars.

    Attributes:
        name: in the legend.
        x: numbers, or names of bars.
        y: numbers.
        below: how far each interval reaches below `y`; empty where there are none.
        above: likewise above.
    """

    name: str
    x: Sequence[float] | Sequence[str]
    y: Sequence[float]
    below: Sequence[float] = ()
    above: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot; both axes go from 0 to 1 unless they have names.

    Attributes:
        title: what it shows.
        x_title: of the horizontal axis.
        y_title: of the vertical axis.
        kind: how the series are drawn.
        series: what is drawn; none where there was nothing to measure.
        diagonal: whether a line marks what is no better than chance, or perfectly calibrated.
    """

    title: str
    x_title: str
    y_title: str
    kind: Literal["lines", "bars"]
    series: tuple[Series, ...]
    diagonal: bool = False


def roc_plot(test: pd.DataFrame, parameters: EvaluationParameters) -> Plot:
    """ROC curves of `toxic` on calibrated test scores, by language."""
    series = []
    for name, truth, rows in _tested(test, parameters):
        false_positives, recall, _ = roc_curve(truth, rows[_SCORE])
        series.append(_line(name, false_positives, recall))
    return Plot("ROC of toxic, test", "false positive rate", "recall", "lines", tuple(series), diagonal=True)


def precision_recall_plot(test: pd.DataFrame, parameters: EvaluationParameters) -> Plot:
    """Precision by recall of `toxic`, at the deployment's share of toxic comments, by language."""
    series = []
    for name, truth, rows in _tested(test, parameters):
        weights = share_weights(rows, parameters.deployment_toxic_share)
        precision, recall, _ = precision_recall_curve(truth, rows[_SCORE], sample_weight=weights)
        series.append(_line(name, recall, precision))
    title = f"Precision and recall of toxic, test, {_share(parameters.deployment_toxic_share)} toxic"
    return Plot(title, "recall", "precision", "lines", tuple(series))


def reliability_plot(test: pd.DataFrame, parameters: EvaluationParameters) -> Plot:
    """Observed share of toxic comments by calibrated score, at the calibration's share, by language."""
    series = []
    for name, truth, rows in _tested(test, parameters):
        weights = share_weights(rows, parameters.calibration_toxic_share)
        weighted = Rows.of(truth, rows[_SCORE].to_numpy(np.float64), weights)
        curve = reliability(weighted, bins=parameters.calibration_bins)
        series.append(_line(name, curve.predicted, curve.observed))
    title = f"Reliability of toxic, test, {_share(parameters.calibration_toxic_share)} toxic"
    return Plot(title, "calibrated score", "share that is toxic", "lines", tuple(series), diagonal=True)


def threshold_plot(test: pd.DataFrame, parameters: EvaluationParameters) -> Plot:
    """What deciding at each threshold does to all test comments, at the deployment's share."""
    series: list[Series] = []
    for name, truth, rows in _tested(test, parameters):
        if name == ALL:
            weights = share_weights(rows, parameters.deployment_toxic_share)
            curve = precision_recall_curve(truth, rows[_SCORE], sample_weight=weights)
            precision, recall, thresholds = curve
            series.append(_line("precision", thresholds, precision[: len(thresholds)]))
            series.append(_line("recall", thresholds, recall[: len(thresholds)]))
    title = f"Thresholds of toxic, test, {_share(parameters.deployment_toxic_share)} toxic"
    return Plot(title, "threshold", "share", "lines", tuple(series))


def language_plot(figures: Figures) -> Plot:
    """AUC of `toxic` by language, with what is published for Detoxify."""
    codes = languages(figures)
    published = [code for code in codes if code in MULTILINGUAL_AUC]
    series = [
        _bars("this model", codes, figures, "test.toxic.{}.auc"),
        _bars("champion", codes, figures, "comparison.toxic.{}.champion_auc"),
        Series(
            "Detoxify multilingual, published, other splits",
            published,
            [MULTILINGUAL_AUC[code] for code in published],
        ),
    ]
    title = "AUC of toxic by language, test"
    return Plot(title, "language", "AUC", "bars", tuple(one for one in series if one.y))


def functionality_plot(figures: Figures) -> Plot:
    """HateCheck accuracy by functionality."""
    names = groups(figures, r"hatecheck\.(\w+_n?h)\.accuracy")
    kinds = {
        "hateful": [name for name in names if not name.endswith("_nh")],
        "not hateful": [name for name in names if name.endswith("_nh")],
    }
    series = [_bars(kind, named, figures, "hatecheck.{}.accuracy") for kind, named in kinds.items()]
    title = "HateCheck, decisions of toxic"
    return Plot(title, "functionality", "accuracy", "bars", tuple(one for one in series if one.y))


def _tested(
    test: pd.DataFrame, parameters: EvaluationParameters
) -> Iterator[tuple[str, Floats, pd.DataFrame]]:
    labelled = test[test[Label.TOXIC].notna()]
    for language, rows in by_language(labelled, parameters).items():
        truth = rows[Label.TOXIC].to_numpy(np.float64)
        if has_both_classes(truth):
            yield language, truth, rows


def _line(name: str, x: Floats, y: Floats) -> Series:
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), _MOST_POINTS)).round().astype(int))
    return Series(name, x[kept].round(5).tolist(), y[kept].round(5).tolist())


def _bars(name: str, groups_: list[str], figures: Figures, pattern: str) -> Series:
    found = {group: find(figures, pattern.format(group)) for group in groups_}
    there = {group: figure for group, figure in found.items() if figure is not None}
    ends = [(f.value, f.low, f.high) for f in there.values() if f.low is not None and f.high is not None]
    return Series(
        name,
        list(there),
        [figure.value for figure in there.values()],
        below=[max(0.0, value - low) for value, low, _ in ends],
        above=[max(0.0, high - value) for value, _, high in ends],
    )


def _share(share: float) -> str:
    return f"{share:.0%}"
