"""Wires a classifier to the packed folder, and that folder to a registered version."""

from kedro.pipeline import Node, Pipeline

from toxic_training.kedro_project.pipelines.baseline import nodes
from toxic_training.kedro_project.pipelines.registration.nodes import prepare_release


def create_packing_pipeline() -> Pipeline:
    """Return the pipeline `pack_baseline`: from the last training's classifier and bundle to the folder."""
    inputs = ["classifier", "encoder", "bundle", "evaluation_html"]
    return Pipeline([Node(nodes.gather_parts, inputs, "packed_baseline")])


def create_encoder_pipeline() -> Pipeline:
    """Return the pipeline `fine_tuned_encoder`: from the last training to an encoder to start from."""
    return Pipeline([Node(nodes.fine_tuned_encoder, ["classifier", "encoder"], "fine_tuned_encoder")])


def create_pipeline() -> Pipeline:
    """Return the pipeline `baseline`: from the folder to a model version."""
    return Pipeline(
        [
            Node(nodes.encoder_files, "baseline", "baseline_encoder"),
            Node(nodes.prepare_export, ["baseline", "baseline_encoder"], "baseline_export"),
            Node(nodes.assemble_bundle, ["baseline", "baseline_export"], "baseline_bundle"),
            Node(
                prepare_release,
                ["baseline_bundle", "params:registration"],
                "model_version",
                name="prepare_baseline_release",
            ),
        ]
    )
