"""Wires a trained, measured classifier to a version in the registry."""

from kedro.pipeline import Node, Pipeline

from toxic_training.release.bundle import assemble_bundle
from toxic_training.release.model_version import prepare_release


def create_pipeline() -> Pipeline:
    """Return the pipeline `registration`."""
    return Pipeline(
        [
            Node(
                assemble_bundle,
                {
                    "model": "exported_model",
                    "point": "operating_point",
                    "reference_scores": "reference_scores",
                    "reference_traffic": "reference_traffic",
                    "reference_scales": "reference_scales",
                    "figures": "evaluation_report",
                    "training_data": "training_data_digests",
                    "licences": "training_licences",
                },
                "bundle",
            ),
            Node(
                prepare_release,
                ["bundle", "params:registration", "corrections_report", "correction_ids"],
                "model_version",
            ),
        ]
    )
