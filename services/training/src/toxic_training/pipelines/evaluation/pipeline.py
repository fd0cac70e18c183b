"""Wires a trained classifier to an exported model, to how its scores are read, and to figures."""

from kedro.pipeline import Node, Pipeline

from toxic_training.metrics import as_mlflow_metrics
from toxic_training.pipelines.evaluation import nodes


def create_pipeline() -> Pipeline:
    """Return the pipeline `evaluation`."""
    scoring = [
        Node(
            nodes.score_with_export,
            ["exported_model", f"{table}_comments", "params:evaluation"],
            f"{table}_scores",
            name=f"score_{table}_comments",
        )
        for table in ("validation", "test")
    ]
    return Pipeline(
        [
            Node(nodes.prepare_export, ["classifier", "encoder", "params:modelling"], "exported_model"),
            *scoring,
            Node(nodes.fit_operating_point, ["validation_scores", "params:evaluation"], "operating_point"),
            Node(
                nodes.describe_reference,
                ["validation_scores", "operating_point", "params:evaluation"],
                "reference_scores",
            ),
            Node(
                nodes.evaluate,
                ["validation_scores", "test_scores", "operating_point", "params:evaluation"],
                "evaluation_report",
            ),
            Node(as_mlflow_metrics, "evaluation_report", "evaluation_metrics", name="log_evaluation"),
        ]
    )
