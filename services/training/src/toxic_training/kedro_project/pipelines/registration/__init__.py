"""From a classifier to a model version in the registry."""

from toxic_training.kedro_project.pipelines.registration.pipeline import create_pipeline

__all__ = ["create_pipeline"]
