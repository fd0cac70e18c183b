"""Unintended bias towards identity groups, measured by ranking.

Three AUCs a group (Borkan et al., 2019, after Dixon et al., 2018), each asking another question:

    subgroup_auc  does it tell toxic from other texts about the group?
    bpsn_auc      background positive, subgroup negative: do harmless texts about the group rank below toxic
                  ones about others? Low where mentioning the group raises scores.
    bnsp_auc      background negative, subgroup positive: do toxic texts about the group rank above harmless
                  ones about others? Low where mentioning the group lowers scores.

Owns the names of these figures: `bias.toxic.<group>.<auc>`, `bias.toxic.overall_auc`, and
`bias.toxic.combined`: the combined score of Jigsaw's competition, a quarter each of the overall AUC and the
power means (p = -5) of the three AUCs over groups, which the worst groups dominate.

Invariant: a group without both classes has no figures and doesn't count in the means.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from toxic_core.labels import Label
from toxic_training.data.suites import IDENTITIES, split_identities
from toxic_training.evaluation.metrics import Floats, Integers, has_both_classes
from toxic_training.evaluation.resampling import Interval, Resampling, intervals

SUBMETRICS = ("subgroup_auc", "bpsn_auc", "bnsp_auc")
_POWER = -5.0
_WEIGHT = 0.25


@dataclass(frozen=True, slots=True)
class _Group:
    """One identity group's rows.

    Attributes:
        name: the identity term, words joined by `_`.
        rows: their places, int [group].
        ties: number of each row's distinct score within the group, int [group].
    """

    name: str
    rows: Integers
    ties: Integers


def measure_bias(scored: pd.DataFrame, resampling: Resampling) -> dict[str, float]:
    """Return the figures of scored templates, by name; none where there are no templates.

    Intervals resample single sentences. Sentences of one template are alike, so the figures would move more
    from one set of templates to another than the intervals say.
    """
    truth = scored[Label.TOXIC].to_numpy(np.float64)
    if not has_both_classes(truth):
        return {}
    scores = scored[f"score_{Label.TOXIC}"].to_numpy(np.float64)
    groups = _groups(scored, truth, scores)
    if not groups:
        return {}
    meter = BiasMeter(truth, scores, groups)
    combined, overall, *rest = intervals(meter.statistic, truth, resampling)
    figures = {"bias.toxic.rows": float(truth.size)}
    figures |= combined.named("bias.toxic.combined") | overall.named("bias.toxic.overall_auc")
    for group, measured in zip(groups, _chunks(rest, len(SUBMETRICS)), strict=True):
        for name, interval in zip(SUBMETRICS, measured, strict=True):
            figures |= interval.named(f"bias.toxic.{group.name}.{name}")
    return figures


class BiasMeter:
    """Measures all groups at once on resampled rows, in time linear in the rows of all groups."""

    def __init__(self, truth: Floats, scores: Floats, groups: Sequence[_Group]) -> None:
        _, self._ties = np.unique(scores, return_inverse=True)
        self._truth = truth
        self._groups = groups

    def statistic(self, counts: Floats) -> Floats:
        """Return the combined score, the overall AUC, then each group's three AUCs."""
        positive, negative = counts * self._truth, counts * (1 - self._truth)
        at_score, below_score = (np.bincount(self._ties, weights) for weights in (positive, negative))
        # Of every row: the positives ranked above it, and the negatives below it; ties count half.
        above = (positive.sum() - np.cumsum(at_score) + at_score / 2)[self._ties]
        below = (np.cumsum(below_score) - below_score / 2)[self._ties]
        overall = (positive * below).sum() / (positive.sum() * negative.sum())
        by_group = np.array(
            [_aucs(group, positive, negative, above=above, below=below) for group in self._groups]
        )
        means = _power_mean(by_group)
        combined = _WEIGHT * overall + _WEIGHT * means.sum()
        return np.concatenate([[combined, overall], by_group.ravel()])


def _aucs(
    group: _Group, positive: Floats, negative: Floats, *, above: Floats, below: Floats
) -> tuple[float, float, float]:
    own_positive, own_negative = positive[group.rows], negative[group.rows]
    positives, negatives = own_positive.sum(), own_negative.sum()
    hits, misses = np.bincount(group.ties, own_positive), np.bincount(group.ties, own_negative)
    inside = (hits * (np.cumsum(misses) - misses / 2)).sum()
    # Pairs with the background are pairs with all rows less pairs inside the group.
    harmless = (own_negative * above[group.rows]).sum() - inside
    toxic = (own_positive * below[group.rows]).sum() - inside
    # A resample may hold none of a small group's toxic texts, or of its harmless ones.
    with np.errstate(invalid="ignore", divide="ignore"):
        return (
            inside / (positives * negatives),
            harmless / ((positive.sum() - positives) * negatives),
            toxic / (positives * (negative.sum() - negatives)),
        )


def _power_mean(values: Floats) -> Floats:
    """Return each column's generalised mean; an AUC of 0 makes it 0."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.mean(values**_POWER, axis=0) ** (1 / _POWER), dtype=np.float64)


def _groups(scored: pd.DataFrame, truth: Floats, scores: Floats) -> list[_Group]:
    members: dict[str, list[int]] = {}
    for row, joined in enumerate(scored[IDENTITIES]):
        for term in split_identities(joined):
            members.setdefault(term, []).append(row)
    groups = []
    for term, places in sorted(members.items()):
        rows = np.array(places)
        background = np.delete(truth, rows)
        if has_both_classes(truth[rows]) and has_both_classes(background):
            _, ties = np.unique(scores[rows], return_inverse=True)
            groups.append(_Group(name=term.replace(" ", "_"), rows=rows, ties=ties))
    return groups


def _chunks(values: list[Interval], size: int) -> list[list[Interval]]:
    return [values[start : start + size] for start in range(0, len(values), size)]
