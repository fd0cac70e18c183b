"""Packs the model that ships with the repository, and unpacks it into a bundle or a registered version."""

from toxic_training.kedro_project.pipelines.baseline.pipeline import (
    create_encoder_pipeline,
    create_packing_pipeline,
    create_pipeline,
)

__all__ = ["create_encoder_pipeline", "create_packing_pipeline", "create_pipeline"]
