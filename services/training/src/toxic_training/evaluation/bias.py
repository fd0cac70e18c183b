"""Unintended bias against identity groups, measured by ranking.

Three AUCs per group (Borkan et al., 2019, after Dixon et al., 2018):

    subgroup_auc  separates toxic from other texts about the group
    bpsn_auc      background positive, subgroup negative: harmless texts about the group against toxic texts
                  about others; low if mentioning the group raises scores
    bnsp_auc      background negative, subgroup positive: toxic texts about the group against harmless texts
                  about others; low if mentioning the group lowers scores

The figures' names are `bias.toxic.<group>.<auc>`, `bias.toxic.overall_auc` and `bias.toxic.combined`: the
combined score of Jigsaw's competition, a quarter each of the overall AUC and the power means (p = -5) of the
three AUCs over groups, which the worst groups dominate.

Invariant: a group without both classes has no figures and isn't part of the means.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from toxic_core.labels import Label
from toxic_training.data.suites import GROUP, split_identities
from toxic_training.evaluation.metrics import Floats, Integers, has_both_classes
from toxic_training.evaluation.resampling import Resampling, intervals

SUBMETRICS = ("subgroup_auc", "bpsn_auc", "bnsp_auc")
_POWER = -5.0
_WEIGHT = 0.25


@dataclass(frozen=True, slots=True)
class Group:
    """One identity group: its term, words joined by `_`; its rows; the ranks of their scores, with ties."""

    name: str
    rows: Integers
    ties: Integers

    def aucs(
        self, positive: Floats, negative: Floats, *, above: Floats, below: Floats
    ) -> tuple[float, float, float]:
        """Return the three AUCs from all rows' weights, and from the weights ranked above and below them."""
        own_positive, own_negative = positive[self.rows], negative[self.rows]
        positives, negatives = own_positive.sum(), own_negative.sum()
        hits, misses = np.bincount(self.ties, own_positive), np.bincount(self.ties, own_negative)
        inside = (hits * (np.cumsum(misses) - misses / 2)).sum()
        # Pairs with the background are pairs with all rows minus pairs inside the group.
        harmless = (own_negative * above[self.rows]).sum() - inside
        toxic = (own_positive * below[self.rows]).sum() - inside
        # A resample may contain no toxic text of a small group, or no harmless one.
        with np.errstate(invalid="ignore", divide="ignore"):
            return (
                inside / (positives * negatives),
                harmless / ((positive.sum() - positives) * negatives),
                toxic / (positives * (negative.sum() - negatives)),
            )


def measure_bias(scored: pd.DataFrame, resampling: Resampling) -> dict[str, float]:
    """Return the figures of scored templates, by name; none if there are no templates.

    Intervals resample single sentences. Sentences of one template are similar, so that other templates would
    change the figures by more than the intervals show.
    """
    truth = scored[Label.TOXIC].to_numpy(np.float64)
    scores = scored[f"score_{Label.TOXIC}"].to_numpy(np.float64)
    groups = _groups(scored, truth, scores)
    if not groups:
        return {}
    _, ties = np.unique(scores, return_inverse=True)

    def statistic(counts: Floats) -> Floats:
        positive, negative = counts * truth, counts * (1 - truth)
        at_score, below_score = (np.bincount(ties, weights) for weights in (positive, negative))
        # For every row: the positives ranked above it, and the negatives below it; ties count half.
        above = (positive.sum() - np.cumsum(at_score) + at_score / 2)[ties]
        below = (np.cumsum(below_score) - below_score / 2)[ties]
        overall = (positive * below).sum() / (positive.sum() * negative.sum())
        aucs = np.array([group.aucs(positive, negative, above=above, below=below) for group in groups])
        with np.errstate(divide="ignore"):  # an AUC of 0 makes its power mean 0
            means = np.mean(aucs**_POWER, axis=0) ** (1 / _POWER)
        combined = _WEIGHT * overall + _WEIGHT * means.sum()
        return np.concatenate([[combined, overall], aucs.ravel()])

    # Linear in the rows of all groups, because every group is measured on the same resampled rows.
    combined, overall, *rest = intervals(statistic, truth, resampling)
    figures = {"bias.toxic.rows": float(truth.size)}
    figures |= combined.named("bias.toxic.combined") | overall.named("bias.toxic.overall_auc")
    names = [f"bias.toxic.{group.name}.{name}" for group in groups for name in SUBMETRICS]
    for name, interval in zip(names, rest, strict=True):
        figures |= interval.named(name)
    return figures


def _groups(scored: pd.DataFrame, truth: Floats, scores: Floats) -> list[Group]:
    members: dict[str, list[int]] = {}
    for row, joined in enumerate(scored[GROUP]):
        for term in split_identities(joined):
            members.setdefault(term, []).append(row)
    groups = []
    for term, positions in sorted(members.items()):
        rows = np.array(positions)
        if has_both_classes(truth[rows]) and has_both_classes(np.delete(truth, rows)):
            _, ties = np.unique(scores[rows], return_inverse=True)
            groups.append(Group(name=term.replace(" ", "_"), rows=rows, ties=ties))
    return groups
