"""From raw tables to clean comments, split without leaks."""

from toxic_training.kedro_project.pipelines.data_processing.pipeline import create_pipeline

__all__ = ["create_pipeline"]
