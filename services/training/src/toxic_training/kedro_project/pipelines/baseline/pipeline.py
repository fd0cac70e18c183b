"""Wires a classifier to the packed folder, and that folder to a registered version."""

from kedro.pipeline import Node, Pipeline

from toxic_training.release import baseline
from toxic_training.release.model_version import prepare_release


def create_packing_pipeline() -> Pipeline:
    """Return the pipeline `pack_baseline`: from the last training's classifier and bundle to the folder."""
    inputs = ["classifier", "encoder", "bundle", "evaluation_html"]
    return Pipeline([Node(baseline.BaselineParts, inputs, "packed_baseline", name="gather_parts")])


def create_encoder_pipeline() -> Pipeline:
    """Return the pipeline `fine_tuned_encoder`: from the last training to an encoder to start from."""
    return Pipeline([Node(baseline.fine_tuned_encoder, ["classifier", "encoder"], "fine_tuned_encoder")])


def create_pipeline() -> Pipeline:
    """Return the pipeline `baseline`: from the folder to a model version."""
    return Pipeline(
        [
            Node(baseline.encoder_files, "baseline", "baseline_encoder"),
            Node(baseline.prepare_export, ["baseline", "baseline_encoder"], "baseline_export"),
            Node(baseline.assemble_bundle, ["baseline", "baseline_export"], "baseline_bundle"),
            Node(
                prepare_release,
                ["baseline_bundle", "params:registration"],
                "model_version",
                name="prepare_baseline_release",
            ),
        ]
    )
