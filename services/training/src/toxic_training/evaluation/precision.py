"""What serving in a lower precision costs: `serving.<precision>.auc_change`, `.score_change`, `.comments`.

A server computes in that precision only where the first of them is small (`toxic_model.precision`).

Invariant: every precision scores the same comments, and the figure is the worst of all labels'.
"""

import logging
from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from toxic_model.errors import SignatureError
from toxic_model.precision import Precision
from toxic_model.runtime import Infer
from toxic_model.runtimes import RUNTIMES
from toxic_model.scoring import ScoringOptions
from toxic_training.data.comments import LABEL_COLUMNS, TEXT
from toxic_training.evaluation.metrics import auc, has_both_classes
from toxic_training.evaluation.operating_point import SCORE_COLUMNS
from toxic_training.scoring.exported import ExportedModel
from toxic_training.scoring.texts import open_scorer

logger = logging.getLogger(__name__)

_THREADS = 0
"""As many as the process may use."""


def measure_precision(
    model: ExportedModel,
    comments: pd.DataFrame,
    scored: pd.DataFrame,
    *,
    options: ScoringOptions,
    most: int,
) -> dict[str, float]:
    """Return how far each lower precision moves each label's AUC and each score.

    Nothing is said of a precision that this CPU hasn't got.

    Args:
        model: the exported model.
        comments: labelled, with their texts.
        scored: the same comments with the model's scores in float32.
        options: how texts are read.
        most: comments that are scored again, evenly spread over all.
    """
    if not most or comments.empty:
        return {}
    rows = np.linspace(0, len(comments) - 1, min(most, len(comments))).round().astype(np.int64)
    sample, exact = comments.iloc[rows], scored.iloc[rows]
    figures: dict[str, float] = {}
    for precision in (Precision.INT8, Precision.BFLOAT16):
        if infer := _inference(model, precision):
            scores = open_scorer(model, options, infer=infer)(sample[TEXT].tolist()).scores
            figures |= _costs(precision, exact, scores)
    return figures


def _costs(precision: Precision, exact: pd.DataFrame, scores: NDArray[np.float32]) -> dict[str, float]:
    rounded = exact.assign(**dict(zip(SCORE_COLUMNS, scores.T, strict=True)))
    return {
        precision.auc_change: max(_auc_changes(exact, rounded), default=0.0),
        f"serving.{precision}.score_change": float(np.abs(scores - exact[SCORE_COLUMNS].to_numpy()).max()),
        f"serving.{precision}.comments": float(len(exact)),
    }


def _inference(model: ExportedModel, precision: Precision) -> Infer | None:
    for runtime in RUNTIMES:
        if not runtime.installed() or precision not in runtime.lower_precisions():
            continue
        try:
            return runtime.read(model.saved_model, len(model.facts.labels))(precision, _THREADS).whole
        except SignatureError as error:
            logger.warning("%s can't measure %s: %s", runtime.name, precision, error)
    logger.info("This machine doesn't compute in %s, so its cost isn't measured.", precision)
    return None


def _auc_changes(exact: pd.DataFrame, rounded: pd.DataFrame) -> Iterator[float]:
    for label, column in zip(LABEL_COLUMNS, SCORE_COLUMNS, strict=True):
        known = exact[label].notna().to_numpy()
        truth = exact.loc[known, label].to_numpy(np.float64)
        if has_both_classes(truth):
            before, after = (table.loc[known, column].to_numpy(np.float64) for table in (exact, rounded))
            yield abs(auc(truth, after) - auc(truth, before))
