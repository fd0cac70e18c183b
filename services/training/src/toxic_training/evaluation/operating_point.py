"""Calibration and operating thresholds of a model's raw scores, by label and language.

Invariant: every label has both for any language (`*`); a language has its own only if there was enough data.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from toxic_core.contract import Bundle, Calibration, Fit, Probability
from toxic_core.contract.calibration import calibrate
from toxic_core.contract.reference import PrecisionCurve
from toxic_core.contract.schema import FrozenModel
from toxic_core.files import replacing
from toxic_core.labels import Label, LabelName
from toxic_core.languages import ANY_LANGUAGE
from toxic_training.data.comments import LABEL_COLUMNS, LANGUAGE


def score_columns(labels: Sequence[LabelName]) -> list[str]:
    """Return the columns of a model's scores."""
    return [f"score_{label}" for label in labels]


SCORE_COLUMNS = score_columns(LABEL_COLUMNS)
"""The columns of a model that was trained on `LABELS`."""


HARMS = (Label.TOXIC, Label.SEVERE_TOXIC, Label.THREAT, Label.INSULT, Label.IDENTITY_HATE)
"""The labels that say that a comment harms somebody; swearing alone (`obscene`) needn't."""


class OperatingPoint(FrozenModel):
    """Calibration, thresholds on calibrated scores, their fits, and thresholds by precision.

    Each is by label, then by language or `*`.
    Labels are in the order of the model's output columns.
    """

    calibration: dict[LabelName, dict[str, Calibration]]
    thresholds: dict[LabelName, dict[str, Probability]]
    fits: dict[LabelName, dict[str, Fit]] = Field(default_factory=dict)
    precision_curves: dict[LabelName, dict[str, PrecisionCurve]] = Field(default_factory=dict)

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        """Return those of a bundle's contract."""
        contract = bundle.contract
        return cls(
            calibration={label: contract.calibration[label] for label in contract.labels},
            thresholds={label: contract.thresholds[label] for label in contract.labels},
            fits=contract.fits,
            precision_curves=contract.precision_curves,
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and validate a file."""
        return cls.model_validate_json(path.read_bytes())

    def write(self, path: Path) -> None:
        """Replace the file atomically."""
        with replacing(path) as partial:
            partial.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @property
    def labels(self) -> tuple[LabelName, ...]:
        """The labels, in the order of a model's output columns."""
        return tuple(self.calibration)

    def calibration_of(self, label: LabelName, language: str | None) -> Calibration:
        """Return the calibration of `label` for `language`, or the one for any language."""
        by_language = self.calibration[label]
        return by_language.get(language or ANY_LANGUAGE, by_language[ANY_LANGUAGE])

    def threshold(self, label: LabelName, language: str | None) -> float:
        """Return the operating threshold of `label` for `language`, or the one for any language."""
        by_language = self.thresholds[label]
        return by_language.get(language or ANY_LANGUAGE, by_language[ANY_LANGUAGE])

    def calibrated(self, scored: pd.DataFrame) -> pd.DataFrame:
        """Return a table with calibrated scores in place of raw ones, and the raw ones in `raw_<label>`."""
        columns = score_columns(self.labels)
        raw = scored[columns].to_numpy(np.float32)
        calibrated = scored.copy()
        calibrated[[f"raw_{label}" for label in self.labels]] = raw
        calibrated[columns] = calibrate(raw, languages=scored[LANGUAGE].tolist(), contract=self)
        return calibrated

    def decisions(self, calibrated: pd.DataFrame, label: LabelName) -> NDArray[np.bool_]:
        """Return whether each row's calibrated score of `label` reaches its language's threshold."""
        thresholds = [self.threshold(label, language) for language in calibrated[LANGUAGE]]
        return calibrated[f"score_{label}"].to_numpy(np.float64) >= np.array(thresholds, dtype=np.float64)

    def harmful(self, calibrated: pd.DataFrame) -> NDArray[np.bool_]:
        """Return whether any of `HARMS` that the model has is decided for each row."""
        harms = [label for label in HARMS if label in self.labels]
        decided: NDArray[np.bool_] = np.any([self.decisions(calibrated, label) for label in harms], axis=0)
        return decided
