"""Plots, table and report of an evaluation."""

from toxic_training.kedro_project.pipelines.reporting.pipeline import create_pipeline, reporting_nodes

__all__ = ["create_pipeline", "reporting_nodes"]
