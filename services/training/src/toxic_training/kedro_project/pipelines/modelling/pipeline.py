"""Wires training comments to a trained classifier."""

from kedro.pipeline import Node, Pipeline

from toxic_training.evaluation.metrics import as_mlflow_metrics
from toxic_training.kedro_project.pipelines.modelling import nodes

TRAINING_INPUTS = {
    "encoder": "encoder",
    "training": "training_comments",
    "teacher_scores": "teacher_scores",
    "validation": "validation_comments",
    "checkpoint": "training_checkpoint",
    "data": "params:data",
    "parameters": "params:modelling",
}
"""The datasets of training by argument; every worker reads them."""


def create_pipeline() -> Pipeline:
    """Return the pipeline `modelling`."""
    return Pipeline(
        [
            Node(
                nodes.prepare_encoder, ["training_comments", "baseline_folder", "params:modelling"], "encoder"
            ),
            Node(nodes.ask_teacher, ["training_comments", "params:modelling"], "teacher_scores"),
            Node(nodes.train_classifier, TRAINING_INPUTS, ["classifier", "fit_result"]),
            Node(as_mlflow_metrics, "fit_result", "training_metrics", name="log_fit"),
        ]
    )
