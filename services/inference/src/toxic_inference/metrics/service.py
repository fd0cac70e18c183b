"""The service's metrics together.

Implements the observer protocols of the core and of the doors, so that neither knows Prometheus.

Invariant: label values are bounded: routes are templates, states and reasons are enumerations, and a
version's series are removed when the version is forgotten. Every metric is one of the catalogue's.
"""

from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    disable_created_metrics,
    generate_latest,
)

from toxic_core.contract import Contract
from toxic_inference.metrics.corrections import CorrectionMetrics
from toxic_inference.metrics.doors import DoorMetrics
from toxic_inference.metrics.scoring import ScoringMetrics
from toxic_inference.metrics.shadow import ShadowMetrics
from toxic_inference.metrics.traffic import HealthCollector, TrafficCollector
from toxic_inference.metrics.versions import VersionMetrics
from toxic_inference.monitoring.monitor import Monitor
from toxic_inference.serving.observers import ScoredTexts
from toxic_inference.serving.versions.states import State


class Metrics(DoorMetrics, ScoringMetrics, ShadowMetrics, VersionMetrics, CorrectionMetrics):
    """Every metric; one object a process.

    Args:
        monitor: watches what the versions say of their traffic.
    """

    def __init__(self, monitor: Monitor) -> None:
        # When a series began is of use to nobody here, and doubles what is scraped.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the one function without types there
        super().__init__(CollectorRegistry())
        self.monitor = monitor
        for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
            self.registry.register(collector)
        self.registry.register(TrafficCollector(monitor))
        self.registry.register(HealthCollector(monitor))

    def render(self) -> bytes:
        """Return every metric in Prometheus's text format."""
        return generate_latest(self.registry)

    def scored(self, report: ScoredTexts) -> None:
        """Let the monitor count."""
        self.monitor.scored(report)

    def available(self, *, version: str, contract: Contract, runtime: str) -> None:
        """Show and watch a version."""
        super().available(version=version, contract=contract, runtime=runtime)
        self.monitor.available(version=version, contract=contract)

    def state_changed(self, *, version: str, state: State | None) -> None:
        """Show a version's state, or remove everything that was said of it."""
        super().state_changed(version=version, state=state)
        if state is None:
            self.forget_scoring(version)
            self.monitor.forget(version)
