"""Prometheus metrics: the catalogue that describes them, and what fills them from the service's events."""

from toxic_inference.metrics.service import Metrics

__all__ = ["Metrics"]
