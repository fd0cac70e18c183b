"""The service's metrics together: one registry, filled from events, rendered for Prometheus.

Invariant: label values are bounded: routes are templates, states and reasons are enumerations, and a
version's series are removed when the version is forgotten. Every metric is in the catalogue.
"""

from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    disable_created_metrics,
    generate_latest,
)

from toxic_inference.events import Emit, StateChanged, TextsScored, VersionAvailable
from toxic_inference.metrics.corrections import corrections_shown
from toxic_inference.metrics.recording import Recorder, make_gauge
from toxic_inference.metrics.traffic import HealthCollector, TrafficCollector
from toxic_inference.metrics.versions import VersionMetrics
from toxic_inference.monitoring.live import LiveQualityRead
from toxic_inference.monitoring.monitor import Monitor


class Metrics:
    """Every metric; one object per process. `monitor` keeps the figures of each version's traffic."""

    def __init__(self, monitor: Monitor) -> None:
        # Creation times would double what is scraped, and nothing here uses them.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client's one untyped function
        self.registry = CollectorRegistry()
        self.monitor = monitor
        for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
            self.registry.register(collector)
        self._recorder = Recorder(self.registry)
        self.emit: Emit = self._recorder.emit
        self.handles = self._recorder.handles
        self._budget = make_gauge("batch_budget_tokens", self.registry)
        VersionMetrics(self._recorder, self.registry)
        self._recorder.handle(LiveQualityRead, corrections_shown(self.registry))
        self._recorder.handle(TextsScored, monitor.scored)
        self._recorder.handle(VersionAvailable, self._watch)
        self._recorder.handle(StateChanged, self._forget)
        self.registry.register(TrafficCollector(monitor))
        self.registry.register(HealthCollector(monitor))

    def batch_budget(self, *, tokens: int) -> None:
        """Show how many tokens a batch may have."""
        self._budget.set(tokens)

    def render(self) -> bytes:
        """Return every metric in Prometheus's text format."""
        return generate_latest(self.registry)

    def _watch(self, event: VersionAvailable) -> None:
        self.monitor.available(version=event.version, contract=event.contract)
        for label in event.contract.labels:
            self._recorder.start(label=label)

    def _forget(self, event: StateChanged) -> None:
        if event.state is None:
            self._recorder.forget(event.version)
            self.monitor.forget(event.version)
