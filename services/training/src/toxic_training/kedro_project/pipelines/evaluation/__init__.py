"""Measures the classifier on comments that it wasn't trained on."""

from toxic_training.kedro_project.pipelines.evaluation.pipeline import create_bundle_pipeline, create_pipeline

__all__ = ["create_bundle_pipeline", "create_pipeline"]
