"""From a table of comments to the table with scores and decisions."""

from toxic_training.kedro_project.pipelines.batch_scoring.pipeline import create_pipeline

__all__ = ["create_pipeline"]
