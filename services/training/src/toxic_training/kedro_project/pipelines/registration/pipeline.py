"""Wires a trained, measured classifier to a version in the registry."""

from kedro.pipeline import Node, Pipeline

from toxic_training.kedro_project.pipelines.registration import nodes


def create_pipeline() -> Pipeline:
    """Return the pipeline `registration`."""
    return Pipeline(
        [
            Node(
                nodes.assemble_bundle,
                {
                    "model": "exported_model",
                    "point": "operating_point",
                    "reference_scores": "reference_scores",
                    "reference_traffic": "reference_traffic",
                    "figures": "evaluation_report",
                    "training_data": "training_data_digests",
                },
                "bundle",
            ),
            Node(nodes.prepare_release, ["bundle", "params:registration"], "model_version"),
        ],
        namespace="registration",
        prefix_datasets_with_namespace=False,
    )
