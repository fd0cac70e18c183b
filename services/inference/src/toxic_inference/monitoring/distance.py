"""Distances between two histograms.

Invariant: both measures are finite for any counts, empty bins included, and 0 for histograms of equal shape.
"""

import numpy as np
from numpy.typing import NDArray

Counts1D = NDArray[np.float64]

_FLOOR = 1e-4
"""Share added to every bin of both histograms: a bin that is empty on one side must not be infinitely far,
and one that is empty on both sides must add nothing."""


def psi(found: Counts1D, reference: Counts1D) -> float:
    """Return the population stability index: the symmetrised Kullback-Leibler divergence, in nats.

    After Siddiqi, Credit Risk Scorecards (2006), whose rule of thumb is 0.1 for little and 0.25 for much.

    Args:
        found: counts, float [bins], not all 0.
        reference: counts of the same bins, not all 0.
    """
    p, q = _shares(found, _FLOOR), _shares(reference, _FLOOR)
    return float(np.sum((p - q) * np.log(p / q)))


def js_distance(found: Counts1D, reference: Counts1D) -> float:
    """Return the Jensen-Shannon distance, base 2: 0 for equal shapes, 1 for histograms without a common bin.

    After Endres and Schindelin, A New Metric for Probability Distributions (2003).

    Args:
        found: counts, float [bins], not all 0.
        reference: counts of the same bins, not all 0.
    """
    p, q = _shares(found, 0.0), _shares(reference, 0.0)
    middle = (p + q) / 2
    divergence = (_divergence(p, middle) + _divergence(q, middle)) / 2
    return float(np.sqrt(max(divergence, 0.0)))


def _shares(counts: Counts1D, floor: float) -> Counts1D:
    shares: Counts1D = (counts / counts.sum() + floor) / (1 + floor * counts.size)
    return shares


def _divergence(p: Counts1D, q: Counts1D) -> float:
    there = p > 0
    return float(np.sum(p[there] * np.log2(p[there] / q[there])))
