"""The champion on the same comments.

Owns the names of these figures: `comparison.<label>.<language>.auc_difference`, this model's AUC less the
champion's, with the ends of its interval, and the champion's as `champion_auc`.

Invariant: both models are measured on the same rows, resampled together, so that what makes a set of comments
hard for both doesn't widen the interval of their difference.
"""

import numpy as np
import pandas as pd

from toxic_core.errors import InvalidDataError
from toxic_core.labels import LABELS, LabelName
from toxic_training.data.comments import ID
from toxic_training.evaluation.measuring import by_language, resampling_of
from toxic_training.evaluation.metrics import Floats, Rows, auc_of, has_both_classes
from toxic_training.evaluation.parameters import EvaluationParameters
from toxic_training.evaluation.resampling import Interval, intervals


def compare(own: pd.DataFrame, champion: pd.DataFrame, parameters: EvaluationParameters) -> dict[str, float]:
    """Return the differences by name; none where there is no champion.

    Args:
        own: calibrated scores of this model.
        champion: calibrated scores of the champion, on the same rows; empty where there is none.
        parameters: of the evaluation.

    Raises:
        InvalidDataError: the rows aren't the same.
    """
    if champion.empty:
        return {}
    if own[ID].tolist() != champion[ID].tolist():
        raise InvalidDataError(
            "The champion was scored on other comments; run the pipeline `evaluation` from its beginning."
        )
    figures: dict[str, float] = {}
    for language, rows in by_language(own, parameters).items():
        for label in LABELS:
            name = f"comparison.{label}.{language}"
            for figure, interval in _difference(rows, champion.loc[rows.index], label, parameters).items():
                figures |= interval.named(f"{name}.{figure}")
    return figures


def _difference(
    own: pd.DataFrame, champion: pd.DataFrame, label: LabelName, parameters: EvaluationParameters
) -> dict[str, Interval]:
    known = own[label].notna().to_numpy()
    truth = own[label].to_numpy(np.float64)[known]
    if not has_both_classes(truth):
        return {}
    ours, theirs = (
        Rows.of(truth, table[f"score_{label}"].to_numpy(np.float64)[known]) for table in (own, champion)
    )

    def statistic(counts: Floats) -> Floats:
        champions = auc_of(theirs.resampled(counts))
        return np.array([auc_of(ours.resampled(counts)) - champions, champions])

    difference, champions = intervals(statistic, truth, resampling_of(parameters))
    return {"auc_difference": difference, "champion_auc": champions}
