"""A version's reference: what it does on comments that are like the traffic, to measure drift from.

If the service's recent traffic is known, comments are weighted to it, by what the champion sees of both:
languages, lengths and scores. The weights are those by raking (iterative proportional fitting: Deming and
Stephan, 1940), the nearest to the deployment's share of toxic comments with the traffic's histograms. The
comments are those for validation and the corrections that are held out, because only those are of a new kind.

Invariant: no comment counts as more than 1% of the traffic, so that a kind of text with too few comments, or
none, stays a drift. Comments that were trained on are never in a reference.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from toxic_core.contract.reference import (
    LENGTH_EDGES,
    OTHER_LANGUAGE,
    Distribution,
    RecentTraffic,
    ReferenceTraffic,
)
from toxic_core.languages import ANY_LANGUAGE, UNDETERMINED
from toxic_training.data.comments import LABEL_COLUMNS, LANGUAGE
from toxic_training.evaluation.measuring import ALL, TOKENS, by_language
from toxic_training.evaluation.metrics import Floats, Integers, share_weights
from toxic_training.evaluation.operating_point import OperatingPoint
from toxic_training.evaluation.parameters import EvaluationParameters

WEIGHT = "weight"
"""The column of weights, in rows that are weighted to recent traffic."""

_MOST = 0.01
"""The largest share of the traffic that one comment counts as."""

_PASSES = 100
_FLOOR = 1e-4
"""Share added to every bin of the traffic: a weight of 0 couldn't grow again."""


def weights_like(traffic: RecentTraffic, seen: pd.DataFrame, start: Floats) -> Floats:
    """Return the weight of each comment, float [rows] with the mean 1, so that the whole is like the traffic.

    Args:
        traffic: the champion's.
        seen: what the champion makes of the comments: languages, tokens and calibrated scores.
        start: weights to stay near to, float [rows].
    """
    start = start / start.sum()
    weights = start
    margins = list(_margins(traffic, seen))
    for _ in range(_PASSES):
        for bins, wanted in margins:
            known = bins >= 0
            found = np.bincount(bins[known], weights[known], minlength=wanted.size)
            shares = wanted / wanted.sum() + _FLOOR
            factors = np.divide(shares, found, out=np.ones_like(found), where=found > 0)
            # Rows outside the margin keep their share of the whole.
            total = weights[known].sum()
            fitted = np.where(known, weights * factors[bins], 0.0)
            weights = np.where(known, fitted * total / fitted.sum(), weights)
    most = max(_MOST, 1 / len(weights))
    while (weights > most).any():
        weights = np.minimum(weights, most)
        # What is cut off goes to the comments below the limit, some of which may reach it then.
        rest, below = 1 - weights.sum(), np.where(weights < most, start, 0.0)
        weights = weights + rest * below / max(below.sum(), np.finfo(np.float64).tiny)
    whole: Floats = weights * len(weights)
    return whole


def _margins(traffic: RecentTraffic, seen: pd.DataFrame) -> Iterator[tuple[Integers, Floats]]:
    """Yield each row's bin, -1 outside, and the traffic's counts, for each histogram that has any."""
    languages = {name: count for name, count in traffic.languages.items() if name != UNDETERMINED}
    names = list(languages)
    other = names.index(OTHER_LANGUAGE) if OTHER_LANGUAGE in names else -1
    places = {name: place for place, name in enumerate(names)} | {UNDETERMINED: -1}
    histograms = [
        (seen[LANGUAGE].map(lambda name: places.get(name, other)).to_numpy(), list(languages.values())),
        *(
            (_bins(seen[column], of.edges), of.counts)
            for column, of in ((TOKENS, traffic.lengths), (f"score_{traffic.label}", traffic.scores))
        ),
    ]
    for bins, counts in histograms:
        if sum(counts) and (bins >= 0).any():
            yield bins, np.array(counts, np.float64)


def _bins(values: pd.Series, edges: Sequence[float]) -> Integers:
    """Return the bin of each value, as the service counts: one outside is in the outermost bin."""
    return np.searchsorted(np.array(edges[1:-1]), values.to_numpy(np.float64), side="right")


def describe_reference(
    rows: pd.DataFrame, point: OperatingPoint, parameters: EvaluationParameters
) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Return each label's histogram of calibrated scores by language, `*` over all.

    Rows are weighted to recent traffic, or to the share of toxic comments in deployment, so that served
    scores can be compared with them. A histogram has `edges` and `counts`, as in `contract.json`.
    """
    edges = np.linspace(0.0, 1.0, parameters.reference_bins + 1)
    found: dict[str, dict[str, dict[str, list[float]]]] = {label: {} for label in LABEL_COLUMNS}
    for language, group in by_language(point.calibrated(rows), parameters).items():
        weights = _weights(group, parameters)
        for label in LABEL_COLUMNS:
            counts, _ = np.histogram(group[f"score_{label}"], edges, weights=weights)
            found[label][ANY_LANGUAGE if language == ALL else language] = {
                "edges": edges.tolist(),
                "counts": [round(count) for count in counts.tolist()],
            }
    return found


def describe_traffic(rows: pd.DataFrame, parameters: EvaluationParameters) -> dict[str, object]:
    """Return the languages and lengths of comments, weighted as the reference scores are.

    The result has the form of a `ReferenceTraffic` in `contract.json`.
    """
    weights = pd.Series(_weights(rows, parameters), rows.index)
    tokens = rows[TOKENS].to_numpy(np.float64).clip(LENGTH_EDGES[0], LENGTH_EDGES[-1])
    lengths, _ = np.histogram(tokens, LENGTH_EDGES, weights=weights)
    languages = weights.groupby(rows[LANGUAGE]).sum()
    return ReferenceTraffic(
        languages={str(name): round(count) for name, count in languages.items()},
        lengths=Distribution(edges=LENGTH_EDGES, counts=tuple(round(count) for count in lengths.tolist())),
        calibration_toxic_share=parameters.calibration_toxic_share,
        deployment_toxic_share=parameters.deployment_toxic_share,
    ).model_dump(mode="json")


def _weights(rows: pd.DataFrame, parameters: EvaluationParameters) -> Floats:
    """Return the weight of each row, float [rows], with the mean 1."""
    if WEIGHT not in rows:
        return share_weights(rows, parameters.deployment_toxic_share)
    weights: Floats = rows[WEIGHT].to_numpy(np.float64)
    scaled: Floats = weights / weights.mean()
    return scaled
