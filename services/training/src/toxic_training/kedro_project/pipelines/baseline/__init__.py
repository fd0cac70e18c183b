"""The model that ships with the repository: packed once, unpacked wherever a registry is to start with it."""

from toxic_training.kedro_project.pipelines.baseline.pipeline import (
    create_encoder_pipeline,
    create_packing_pipeline,
    create_pipeline,
)

__all__ = ["create_encoder_pipeline", "create_packing_pipeline", "create_pipeline"]
