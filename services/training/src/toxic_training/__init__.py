"""Kedro pipelines that train, evaluate and register a multilingual toxicity model."""

__version__ = "0.1.0"
