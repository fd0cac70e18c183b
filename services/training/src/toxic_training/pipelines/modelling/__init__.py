"""From comments to a trained classifier."""

from toxic_training.pipelines.modelling.pipeline import create_pipeline

__all__ = ["create_pipeline"]
