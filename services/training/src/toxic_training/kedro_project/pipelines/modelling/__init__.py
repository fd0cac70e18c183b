"""From comments to a trained classifier."""

from toxic_training.kedro_project.pipelines.modelling.pipeline import create_pipeline

__all__ = ["create_pipeline"]
