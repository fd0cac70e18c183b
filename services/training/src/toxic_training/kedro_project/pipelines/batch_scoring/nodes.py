"""From a table of comments to the table with scores and decisions: plain functions."""

from collections.abc import Iterable

import pandas as pd

from toxic_training.evaluation.operating_point import OperatingPoint
from toxic_training.evaluation.parameters import EvaluationParameters
from toxic_training.release.bundle import VersionedBundle
from toxic_training.scoring.exported import ExportedModel
from toxic_training.scoring.table_scoring import ScoredChunks, TableScorer
from toxic_training.scoring.texts import Reading, SavedModelScorer


def score_table(
    chunks: Iterable[pd.DataFrame], chosen: VersionedBundle, parameters: EvaluationParameters
) -> ScoredChunks:
    """Return the table's chunks as they will be scored, one by one, when they are written."""
    reading = Reading(
        batch_tokens=parameters.batch_tokens,
        windows=parameters.max_windows,
        overlap=parameters.window_overlap_tokens,
    )
    bundle = chosen.bundle
    scorer = SavedModelScorer(ExportedModel.of(bundle), reading)
    return ScoredChunks(chunks, TableScorer(scorer, OperatingPoint.of(bundle.contract), chosen.version))
