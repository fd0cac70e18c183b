"""Kedro pipelines that train, evaluate and register a multilingual toxicity model."""

__version__ = "0.2.0"
