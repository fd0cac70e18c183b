"""What the groups of metrics have in common: the registry that they declare themselves in."""

from prometheus_client import CollectorRegistry

LATENCY_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Buckets for whatever a caller waits for."""


class MetricFamily:
    """A group of metrics in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
