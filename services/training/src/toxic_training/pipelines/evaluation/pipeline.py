"""Wires a trained classifier to figures on validation and test comments."""

from kedro.pipeline import Node, Pipeline

from toxic_training.metrics import as_mlflow_metrics
from toxic_training.pipelines.evaluation import nodes


def create_pipeline() -> Pipeline:
    """Return the pipeline `evaluation`."""
    scoring = [
        Node(
            nodes.score_comments,
            {
                "classifier": "classifier",
                "encoder": "encoder",
                "comments": f"{table}_comments",
                "evaluation": "params:evaluation",
                "modelling": "params:modelling",
            },
            f"{table}_scores",
            name=f"score_{table}_comments",
        )
        for table in ("validation", "test")
    ]
    return Pipeline(
        [
            *scoring,
            Node(nodes.choose_thresholds, ["validation_scores", "params:evaluation"], "thresholds"),
            Node(nodes.describe_reference, ["validation_scores", "params:evaluation"], "reference_scores"),
            Node(
                nodes.evaluate,
                ["validation_scores", "test_scores", "params:evaluation"],
                "evaluation_report",
            ),
            Node(as_mlflow_metrics, "evaluation_report", "evaluation_metrics", name="log_evaluation"),
        ]
    )
