"""What the classifier is worth, on comments it has never seen."""

from toxic_training.kedro_project.pipelines.evaluation.pipeline import create_bundle_pipeline, create_pipeline

__all__ = ["create_bundle_pipeline", "create_pipeline"]
