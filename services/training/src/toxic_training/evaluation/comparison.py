"""Compares a model with the champion on the same comments.

The figures' names are `comparison.<label>.<language>.auc_difference`, this model's AUC minus the champion's,
and `….champion_auc`, each with the ends of its interval.

Invariant: both models are measured on the same rows, resampled together, so that comments that are difficult
for both don't widen the interval of the difference.
"""

import numpy as np
import pandas as pd

from toxic_core.errors import InvalidDataError
from toxic_core.labels import LABELS
from toxic_training.data.comments import ID, SOURCE
from toxic_training.evaluation.measuring import TEST, by_language
from toxic_training.evaluation.metrics import Floats, Rows, auc_of, has_both_classes
from toxic_training.evaluation.operating_point import OperatingPoint
from toxic_training.evaluation.parameters import EvaluationParameters
from toxic_training.evaluation.resampling import intervals


def compare_with_champion(
    test: pd.DataFrame, champion: pd.DataFrame, point: OperatingPoint, parameters: EvaluationParameters
) -> dict[str, float]:
    """Return the differences of calibrated scores, by name; none if `champion` is empty.

    `test` has this model's raw scores, `point` calibrates them; `champion` has calibrated scores of those of
    its rows that are Jigsaw's, or InvalidDataError is raised.
    """
    if champion.empty:
        return {}
    test = test[test[SOURCE] == TEST].reset_index(drop=True)
    if test[ID].tolist() != champion[ID].tolist():
        raise InvalidDataError(
            "The champion was scored on other comments; run the pipeline `evaluation` from its start."
        )
    figures: dict[str, float] = {}
    for language, rows in by_language(point.calibrated(test), parameters).items():
        # Either model may have been trained on fewer labels.
        for label in (label for label in LABELS if f"score_{label}" in champion and f"score_{label}" in rows):
            known = rows[label].notna().to_numpy()
            truth = rows[label].to_numpy(np.float64)[known]
            if not has_both_classes(truth):
                continue
            ours, theirs = (
                Rows.of(truth, table[f"score_{label}"].to_numpy(np.float64)[known])
                for table in (rows, champion.iloc[rows.index])
            )

            def statistic(counts: Floats, ours: Rows = ours, theirs: Rows = theirs) -> Floats:
                champions = auc_of(theirs.resampled(counts))
                return np.array([auc_of(ours.resampled(counts)) - champions, champions])

            difference, champions = intervals(statistic, truth, parameters.resampling)
            key = f"comparison.{label}.{language}"
            figures |= difference.named(f"{key}.auc_difference") | champions.named(f"{key}.champion_auc")
    return figures
