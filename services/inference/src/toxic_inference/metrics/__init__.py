"""Every Prometheus metric of the service: names, units, label values, and the registry they live in."""

from toxic_inference.metrics.service import Metrics
from toxic_inference.metrics.silent import SilentMetrics

__all__ = ["Metrics", "SilentMetrics"]
