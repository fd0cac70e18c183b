"""Calibration of a model's raw scores.

Invariant: `calibrate` is monotone in the score, so it keeps the ranking within one label and language.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from toxic_core.contract.artifact import Calibration
from toxic_core.labels import LabelName

_EPSILON = 1e-7


class Calibrations(Protocol):
    """The calibration part of a contract."""

    @property
    def labels(self) -> tuple[LabelName, ...]:
        """The labels, in the order of a model's output columns."""
        ...

    def calibration_of(self, label: LabelName, language: str | None) -> Calibration:
        """Return the calibration of `label` for `language`, or the one for any language."""
        ...


def calibrate(
    scores: NDArray[np.float32], *, languages: Sequence[str | None], contract: Calibrations
) -> NDArray[np.float32]:
    """Apply each label's and language's Platt scaling (Platt, 1999).

    Args:
        scores: raw scores, float32 [batch, labels], in the contract's label order.
        languages: per row; None if unknown.
        contract: a `Contract`, or a part of a future one.

    Returns:
        Calibrated scores, float32 [batch, labels].
    """
    scaling = {
        language: [
            (each.slope, each.intercept)
            for each in (contract.calibration_of(label, language) for label in contract.labels)
        ]
        for language in set(languages)
    }
    factors = np.array([scaling[language] for language in languages], dtype=np.float64)
    factors = factors.reshape(*scores.shape, 2)
    clipped = np.clip(scores.astype(np.float64), _EPSILON, 1 - _EPSILON)
    logits = factors[..., 0] * np.log(clipped / (1 - clipped)) + factors[..., 1]
    # The sigmoid in a form that no logit overflows.
    return np.exp(-np.logaddexp(0.0, -logits)).astype(np.float32)
