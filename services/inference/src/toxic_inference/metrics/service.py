"""The service's metrics together.

Implements the observer protocols of the core and of the doors, so that neither knows Prometheus.

Invariant: label values are bounded: routes are templates, states and reasons are enumerations, and a
version's series are removed when the version is forgotten.
"""

from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    generate_latest,
)

from toxic_inference.metrics.doors import DoorMetrics
from toxic_inference.metrics.scoring import ScoringMetrics
from toxic_inference.metrics.shadow import ShadowMetrics
from toxic_inference.metrics.versions import VersionMetrics


class Metrics(DoorMetrics, ScoringMetrics, ShadowMetrics, VersionMetrics):
    """Every metric; one object a process."""

    def __init__(self) -> None:
        super().__init__(CollectorRegistry())
        for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
            self.registry.register(collector)

    def render(self) -> bytes:
        """Return every metric in Prometheus's text format."""
        return generate_latest(self.registry)
