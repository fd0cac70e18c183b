"""Measures a model on test suites: by functionality, by kind, against reference scores, and disguised.

The figures' names, `<suite>` a name in the catalog's `raw_suites`:

    hatecheck.<functionality>.identity_accuracy
                                        share of cases with a right decision on `identity_hate`, since the
                                        suite is about hate and not about rudeness; also for `hateful`,
                                        `non_hateful`, `all`; with `.any_accuracy` by any harm, and `.cases`
    hatecheck.all.auc                   AUC of `identity_hate`
    <suite>.toxic.<language>.auc        AUC of a suite with the label `toxic`; with `.rows`
    <suite>.<group>.accuracy            share of cases whose decision by any harm is right, by functionality
                                        or kind; `harmful`, `harmless` for both sides
    <suite>.<attribute>.<language>.rank_correlation
                                        Spearman's, with reference scores; with `.rows`
    disguised.<way>.harmful             share of the cases flagged plain that are flagged disguised
    disguised.<way>.harmless            share of the cases not flagged plain that aren't flagged disguised

A case is flagged by any harm if a label of `HARMS` (`operating_point`) is decided.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from toxic_core.labels import Label
from toxic_training.data.comments import LANGUAGE, SOURCE
from toxic_training.data.suites import EXPECTED, GROUP, HATECHECK, REFERENCES, TEMPLATES
from toxic_training.evaluation.bias import measure_bias
from toxic_training.evaluation.disguises import PLAIN
from toxic_training.evaluation.metrics import Floats, has_both_classes
from toxic_training.evaluation.operating_point import OperatingPoint
from toxic_training.evaluation.parameters import EvaluationParameters
from toxic_training.evaluation.resampling import Resampling, auc_interval, intervals

Figures = dict[str, float]
Bools = NDArray[np.bool_]

ALL = "all"
_FEWEST_REFERENCES = 100
"""Reference scores of an attribute and language that a correlation needs."""


def measure_suites(suites: pd.DataFrame, point: OperatingPoint, parameters: EvaluationParameters) -> Figures:
    """Return every figure of the suites' raw scores, by name; none of an absent suite."""
    figures: Figures = {}
    for name, rows in suites.groupby(SOURCE):
        cases = point.calibrated(rows)
        if name == TEMPLATES:
            figures |= measure_bias(rows, parameters.resampling)
        elif name == HATECHECK:
            figures |= measure_hatecheck(cases, point, parameters.resampling)
        else:
            figures |= _by_language(str(name), cases, parameters.resampling)
            figures |= _by_decision(str(name), cases, point.harmful(cases), parameters.resampling)
            figures |= _by_reference(str(name), cases)
    return figures


def measure_hatecheck(cases: pd.DataFrame, point: OperatingPoint, resampling: Resampling) -> Figures:
    """Return the AUC, and the share of cases that pass by functionality, with the ends of intervals."""
    if cases.empty:
        return {}
    hateful = cases[Label.IDENTITY_HATE].to_numpy(np.float64)
    groups = _members(cases[GROUP]) | {"hateful": hateful == 1, "non_hateful": hateful == 0}
    figures: Figures = {}
    decisions = {"any_accuracy": point.harmful(cases)}
    if Label.IDENTITY_HATE in point.labels:
        decisions["identity_accuracy"] = point.decisions(cases, Label.IDENTITY_HATE)
    for figure, decided in decisions.items():
        # Resampled within each functionality, because that is how the suite was written.
        named = {f"{HATECHECK}.{name}.{figure}": mask for name, mask in groups.items()}
        figures |= _shares(decided == (hateful == 1), named, cases[GROUP], resampling=resampling)
    figures |= {f"{HATECHECK}.{name}.cases": float(mask.sum()) for name, mask in groups.items()}
    if has_both_classes(hateful) and Label.IDENTITY_HATE in point.labels:
        scores = cases[f"score_{Label.IDENTITY_HATE}"].to_numpy(np.float64)
        figures |= auc_interval(hateful, scores, resampling).named(f"{HATECHECK}.all.auc")
    return figures


def measure_disguised(
    plain: pd.DataFrame, disguised: pd.DataFrame, point: OperatingPoint, parameters: EvaluationParameters
) -> Figures:
    """Return the shares of decisions by any harm that a disguise leaves; both tables are of raw scores.

    A disguised row has the position of its plain one in `plain`, and the way in `group`.
    """
    decided = point.harmful(point.calibrated(disguised))
    flagged = point.harmful(point.calibrated(plain))[disguised[PLAIN].to_numpy(np.int64)]
    groups = {
        f"disguised.{way}.{side}": rows & mask
        for way, rows in _members(disguised[GROUP]).items()
        for side, mask in (("harmful", flagged), ("harmless", ~flagged))
    }
    return _shares(decided == flagged, groups, disguised[GROUP], resampling=parameters.resampling)


def _by_language(suite: str, cases: pd.DataFrame, resampling: Resampling) -> Figures:
    figures: Figures = {}
    for language, rows in cases.groupby(LANGUAGE):
        truth = rows[Label.TOXIC].to_numpy(np.float64)
        known = ~np.isnan(truth)
        if has_both_classes(truth[known]):
            scores = rows[f"score_{Label.TOXIC}"].to_numpy(np.float64)
            key = f"{suite}.toxic.{language}"
            figures |= auc_interval(truth[known], scores[known], resampling).named(f"{key}.auc")
            figures[f"{key}.rows"] = float(known.sum())
    return figures


def _by_decision(suite: str, cases: pd.DataFrame, flagged: Bools, resampling: Resampling) -> Figures:
    expected = cases[EXPECTED]
    is_stated = (expected != "").to_numpy()
    truth = np.where(is_stated, expected != "ok", cases[Label.TOXIC] == 1)
    known = is_stated | cases[Label.TOXIC].notna().to_numpy()
    if not (known & (cases[GROUP] != "")).any():
        return {}
    groups = _members(cases[GROUP][known]) | {"harmful": truth[known], "harmless": ~truth[known]}
    named = {f"{suite}.{name}.accuracy": mask for name, mask in groups.items()}
    return _shares((flagged == truth)[known], named, cases[GROUP][known], resampling=resampling)


def _by_reference(suite: str, cases: pd.DataFrame) -> Figures:
    figures: Figures = {}
    for attribute, label in REFERENCES.items():
        if f"score_{label}" not in cases:
            continue
        for language, rows in cases[cases[attribute].notna()].groupby(LANGUAGE):
            if len(rows) < _FEWEST_REFERENCES:
                continue
            found = spearmanr(rows[attribute], rows[f"score_{label}"]).statistic
            if np.isfinite(found):
                key = f"{suite}.{attribute.lower()}.{language}"
                figures |= {f"{key}.rank_correlation": float(found), f"{key}.rows": float(len(rows))}
    return figures


def _members(column: pd.Series) -> dict[str, Bools]:
    names = column.to_numpy(str)
    return {name: names == name for name in np.unique(names).tolist()} | {ALL: np.ones(len(names), bool)}


def _shares(
    passed: Bools, groups: Mapping[str, Bools], strata: pd.Series, *, resampling: Resampling
) -> Figures:
    """Return the share of rows that pass in each group that has any, by name, with the ends of intervals."""
    filled = {name: mask for name, mask in groups.items() if mask.any()}
    if not filled:
        return {}
    masks = np.array(list(filled.values()), dtype=np.float64)

    def statistic(counts: Floats) -> Floats:
        return np.asarray((masks @ (passed * counts)) / np.maximum(masks @ counts, 1e-9))

    figures: Figures = {}
    for name, interval in zip(filled, intervals(statistic, strata.to_numpy(str), resampling), strict=True):
        figures |= interval.named(name)
    return figures
