"""Bootstrap confidence intervals.

Invariant: a resample is a count per row, so that several labels, groups or models can be measured on the same
resampled rows, and the interval of a difference is paired.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from toxic_training.evaluation.metrics import Floats, Rows, auc_of

Statistic = Callable[[Floats], Floats]
"""Maps the count of each row, float [rows], to one or more figures, float [figures]."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure on the rows themselves, the ends of its interval, and the mean over resamples minus it."""

    value: float
    low: float
    high: float
    bias: float = 0.0

    def without_bias(self) -> "Interval":
        """Return the interval shifted by its bias, for an error that noise can only increase.

        A calibration error is on average larger on resampled rows than on the rows themselves, so that the
        plain interval may be entirely above the value.
        """
        return replace(self, low=max(0.0, self.low - self.bias), high=self.high - self.bias, bias=0.0)

    def named(self, name: str) -> dict[str, float]:
        """Return the figure and its ends as `name`, `name_low` and `name_high`; empty if undefined."""
        if not np.isfinite([self.value, self.low, self.high]).all():
            return {}
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}


@dataclass(frozen=True, slots=True)
class Resampling:
    """The number of resamples (0 for intervals of width 0), the coverage 0 to 1, and the seed."""

    samples: int
    confidence: float
    seed: int


def intervals(
    statistic: Statistic, strata: NDArray[np.generic], resampling: Resampling
) -> tuple[Interval, ...]:
    """Return each figure of `statistic` with a percentile interval (Efron, 1979).

    `strata` has a value per row; rows are drawn with replacement among those of the same value.
    """
    values = statistic(np.ones(len(strata))).tolist()
    if resampling.samples == 0:
        return tuple(Interval(value, value, value) for value in values)
    generator = np.random.default_rng(resampling.seed)
    members = [np.flatnonzero(strata == value) for value in np.unique(strata)]
    drawn = []
    for _ in range(resampling.samples):
        counts = np.zeros(len(strata))
        for rows in members:
            counts[rows] = np.bincount(generator.integers(len(rows), size=len(rows)), minlength=len(rows))
        drawn.append(statistic(counts))
    tail = (1 - resampling.confidence) / 2
    found = []
    for value, column in zip(values, np.array(drawn).T, strict=True):
        # A figure is undefined on a resample that lacks a class; the other resamples still count.
        defined = column[np.isfinite(column)]
        if defined.size:
            low, high = np.quantile(defined, [tail, 1 - tail]).tolist()
            found.append(Interval(value, low, high, bias=float(defined.mean() - value)))
        else:
            found.append(Interval(value, float("nan"), float("nan")))
    return tuple(found)


def auc_interval(truth: Floats, scores: Floats, resampling: Resampling) -> Interval:
    """Return the AUC of `scores`, resampled within each class; `truth` and `scores` are float [rows]."""
    rows = Rows.of(truth, scores)
    (interval,) = intervals(lambda counts: np.array([auc_of(rows.resampled(counts))]), truth, resampling)
    return interval
