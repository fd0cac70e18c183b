"""Bootstrap confidence intervals.

Invariant: what is resampled is how often each row counts, so that figures of several labels, groups or models
can be resampled on the same rows at once, and a difference is a paired one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from toxic_training.evaluation.metrics import Floats, Rows, auc_of

Statistic = Callable[[Floats], Floats]
"""From how often each row counts, float [rows], to one or more figures, float [figures]."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its bootstrap confidence interval.

    Attributes:
        value: on the rows themselves.
        low: end of the interval.
        high: end of the interval.
        bias: mean over the resamples, less `value`.
    """

    value: float
    low: float
    high: float
    bias: float = 0.0

    def without_bias(self) -> "Interval":
        """Return the interval of an error that noise can only add to, moved back by what resampling added.

        A calibration error is such a one: on resampled rows it is larger on average than on the rows
        themselves, so that the plain interval may lie wholly above the value.
        """
        return replace(self, low=max(0.0, self.low - self.bias), high=self.high - self.bias, bias=0.0)

    def named(self, name: str) -> dict[str, float]:
        """Return the figure and its ends as `name`, `name_low` and `name_high`; nothing where undefined."""
        if not np.isfinite([self.value, self.low, self.high]).all():
            return {}
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}


@dataclass(frozen=True, slots=True)
class Resampling:
    """How intervals are made.

    Attributes:
        samples: resamples; with 0 an interval is the value itself.
        confidence: coverage, 0 to 1.
        seed: of the resampling.
    """

    samples: int
    confidence: float
    seed: int


def intervals(
    statistic: Statistic, strata: NDArray[np.generic], resampling: Resampling
) -> tuple[Interval, ...]:
    """Return each figure of `statistic` with a percentile interval (Efron, 1979).

    Args:
        statistic: what is measured.
        strata: a value for each row; rows are drawn with replacement among those of the same value.
        resampling: how often, and how wide the intervals are.
    """
    values = statistic(np.ones(len(strata)))
    if resampling.samples == 0:
        return tuple(Interval(value, value, value) for value in values.tolist())
    generator = np.random.default_rng(resampling.seed)
    members = [np.flatnonzero(strata == value) for value in np.unique(strata)]
    drawn = np.array(
        [
            statistic(_counts(members, rows=len(strata), generator=generator))
            for _ in range(resampling.samples)
        ]
    )
    return tuple(
        _interval(value, column, resampling.confidence)
        for value, column in zip(values.tolist(), drawn.T, strict=True)
    )


def auc_interval(truth: Floats, scores: Floats, resampling: Resampling) -> Interval:
    """Return the AUC of `scores`, resampled within each class; `truth` and `scores` are float [rows]."""
    rows = Rows.of(truth, scores)
    (interval,) = intervals(lambda counts: np.array([auc_of(rows.resampled(counts))]), truth, resampling)
    return interval


def _counts(
    members: list[NDArray[np.intp]], *, rows: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    counts = np.zeros(rows)
    for stratum in members:
        counts[stratum] = np.bincount(
            generator.integers(len(stratum), size=len(stratum)), minlength=len(stratum)
        )
    return counts


def _interval(value: float, drawn: Floats, confidence: float) -> Interval:
    # A resample may miss a class altogether; what is undefined there says nothing about the others.
    defined = drawn[np.isfinite(drawn)]
    if not defined.size:
        return Interval(value, float("nan"), float("nan"))
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(value, float(low), float(high), bias=float(defined.mean() - value))
