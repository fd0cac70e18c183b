"""What serving in a lower precision costs: `serving.<precision>.auc_change`, `.score_change`, `.comments`.

A server computes in that precision only where the first of them is small (`toxic_model.precision`).

Invariant: every precision scores the same comments, and the figure is the worst of all labels'.
"""

import logging
from collections.abc import Iterator

import numpy as np
import pandas as pd

from toxic_model.precision import Precision
from toxic_model.runtimes import RUNTIMES
from toxic_training.data.comments import LABEL_COLUMNS, TEXT
from toxic_training.evaluation.metrics import Rows, auc_of, has_both_classes
from toxic_training.evaluation.operating_point import SCORE_COLUMNS, score_columns
from toxic_training.evaluation.parameters import EvaluationParameters
from toxic_training.scoring.exported import ExportedModel
from toxic_training.scoring.texts import inference, open_scorer

logger = logging.getLogger(__name__)


def measure_precision(
    model: ExportedModel, comments: pd.DataFrame, scored: pd.DataFrame, parameters: EvaluationParameters
) -> dict[str, float]:
    """Return how far each lower precision that this CPU has moves each label's AUC and each score.

    `scored` has the scores in float32. At most `precision_comments`, evenly spread, are scored again.
    """
    most = min(parameters.precision_comments, len(comments))
    if not most:
        return {}
    rows = np.linspace(0, len(comments) - 1, most).round().astype(np.int64)
    texts, exact = comments[TEXT].iloc[rows].tolist(), scored.iloc[rows]
    figures: dict[str, float] = {}
    for precision in (Precision.INT8, Precision.BFLOAT16, Precision.INT8_BFLOAT16):
        infer = inference(model, precision, RUNTIMES)
        if infer is None:
            logger.info("This machine doesn't compute in %s, so its cost isn't measured.", precision)
        else:
            scores = open_scorer(model, parameters.reading, infer=infer)(texts).scores
            columns = score_columns(model.facts.labels)
            rounded = exact.assign(**dict(zip(columns, scores.T, strict=True)))
            moved = np.abs(scores - exact[columns].to_numpy())
            figures |= {
                precision.auc_change: max(_auc_changes(exact, rounded), default=0.0),
                f"serving.{precision}.score_change": float(moved.max()),
                f"serving.{precision}.comments": float(len(exact)),
            }
    return figures


def _auc_changes(exact: pd.DataFrame, rounded: pd.DataFrame) -> Iterator[float]:
    for label, column in zip(LABEL_COLUMNS, SCORE_COLUMNS, strict=True):
        if column not in exact:
            continue
        known = exact[label].notna().to_numpy()
        truth = exact.loc[known, label].to_numpy(np.float64)
        if has_both_classes(truth):
            before, after = (table.loc[known, column].to_numpy(np.float64) for table in (exact, rounded))
            yield abs(auc_of(Rows.of(truth, after)) - auc_of(Rows.of(truth, before)))
