"""Wires a table and a model version to the scored table."""

from kedro.pipeline import Node, Pipeline

from toxic_training.kedro_project.pipelines.batch_scoring import nodes


def create_pipeline() -> Pipeline:
    """Return the pipeline `batch_scoring`."""
    return Pipeline(
        [
            Node(
                nodes.score_table,
                ["comments_to_score", "scoring_bundle", "params:text_column", "params:evaluation"],
                "scored_comments",
            )
        ]
    )
