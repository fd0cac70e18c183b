"""From a table of comments to the table with scores and decisions: plain functions."""

from collections.abc import Iterable

from toxic_model.opening import open_model
from toxic_model.registered import VersionedBundle
from toxic_model.table_scoring import TableScorer
from toxic_training.evaluation.parameters import EvaluationParameters
from toxic_training.scoring.table_scoring import ReadChunk, ScoredChunks


def score_table(
    chunks: Iterable[ReadChunk],
    chosen: VersionedBundle,
    text_column: str | None,
    parameters: EvaluationParameters,
) -> ScoredChunks:
    """Return the table's chunks, which the chosen version scores one by one when they are written.

    `text_column` is the name of the column of texts; None to find it.
    """
    options = parameters.reading
    model = open_model(chosen.bundle, threads=0, overlap=options.overlap)
    scorer = TableScorer(model, chosen.version, options, column=text_column, option="TEXT_COLUMN=<name>")
    return ScoredChunks(chunks, scorer)
