"""The service's metrics together: one registry, filled from events, rendered for Prometheus.

Invariant: label values are bounded: routes are templates, states and reasons are enumerations, and a
version's series are removed when the version is forgotten. Every metric is in the catalogue.
"""

import platform
import time
from importlib import metadata

from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    disable_created_metrics,
    generate_latest,
)

from toxic_inference.events import (
    AliasRouted,
    BatchRan,
    Emit,
    PoliciesRead,
    PolicyTextsScored,
    RouteDeclared,
    StateChanged,
    TextsScored,
    VersionAvailable,
)
from toxic_inference.metrics.corrections import corrections_shown, review_shown
from toxic_inference.metrics.recording import Recorder, make_gauge
from toxic_inference.metrics.traffic import HealthCollector, TrafficCollector
from toxic_inference.monitoring.live import LiveQualityRead, ReviewRead
from toxic_inference.monitoring.monitor import Monitor
from toxic_inference.serving.versions.states import State


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
        self._states = make_gauge("model_version_state", self.registry)
        self._aliases = make_gauge("alias_info", self.registry)
        self._models = make_gauge("model_info", self.registry)
        self._approved = make_gauge("version_approved", self.registry)
        self._rates = make_gauge("model_tokens_per_second", self.registry)
        self._alias_versions: dict[str, str] = {}
        release = make_gauge("build_info", self.registry)
        release.labels(metadata.version("toxic-inference"), platform.python_version()).set(1)
        self._last_batches: dict[str, float] = {}

        def ran(event: BatchRan) -> None:
            self._last_batches[event.version] = time.time()

        self._recorder.handle(BatchRan, ran)
        self._recorder.handle(LiveQualityRead, corrections_shown(self.registry))
        self._recorder.handle(ReviewRead, review_shown(self.registry))
        self._recorder.handle(TextsScored, monitor.scored)
        self._recorder.handle(PolicyTextsScored, monitor.governed)
        self._recorder.handle(VersionAvailable, self._available)
        self._recorder.handle(StateChanged, self._state_changed)
        self._recorder.handle(AliasRouted, self._routed)
        self._recorder.handle(RouteDeclared, self._declared)
        self._recorder.handle(PoliciesRead, self._policies_read)
        self.registry.register(TrafficCollector(monitor))
        self.registry.register(HealthCollector(monitor))

    def batch_budget(self, *, tokens: int) -> None:
        """Show how many tokens a batch may have."""
        self._budget.set(tokens)

    def render(self) -> bytes:
        """Return every metric in Prometheus's text format."""
        return generate_latest(self.registry)

    def totals(self, version: str) -> dict[str, float]:
        """Return a version's totals, as `Recorder.totals`.

        `last_batch_seconds` is the time of its last batch, in seconds since 1970.
        """
        return self._recorder.totals(version) | {"last_batch_seconds": self._last_batches.get(version, 0.0)}

    def _available(self, event: VersionAvailable) -> None:
        self._models.remove_by_labels({"version": event.version})
        contract, created = event.contract, event.contract.created_at.date().isoformat()
        facts = event.version, contract.base_model, contract.code_revision, created, event.runtime
        self._models.labels(*facts).set(1)
        for precision, rate in event.rates.items():
            self._rates.labels(event.version, precision).set(rate)
        if event.approved is not None:
            self._approved.labels(event.version).set(event.approved)
        self.monitor.available(version=event.version, contract=contract)
        for label in contract.labels:
            self._recorder.open(label=label)
        self._recorder.open(version=event.version)

    def _state_changed(self, event: StateChanged) -> None:
        if event.state is None:
            self._states.remove_by_labels({"version": event.version})
            self._models.remove_by_labels({"version": event.version})
            self._approved.remove_by_labels({"version": event.version})
            self._rates.remove_by_labels({"version": event.version})
            self._recorder.forget(event.version)
            self._last_batches.pop(event.version, None)
            self.monitor.forget(event.version)
            return
        for state in State:
            self._states.labels(event.version, state.value).set(state is event.state)

    def _routed(self, event: AliasRouted) -> None:
        if previous := self._alias_versions.pop(event.alias, None):
            self._aliases.remove(event.alias, previous)
        if event.version is not None:
            self._aliases.labels(event.alias, event.version).set(1)
            self._alias_versions[event.alias] = event.version

    def _declared(self, event: RouteDeclared) -> None:
        known = {"door": event.door, "route": event.route, "method": event.method}
        # The latency objective is about these; the histograms of all routes would double what is scraped.
        self._recorder.open(**known, **({"scores": "yes"} if event.scores else {}))

    def _policies_read(self, event: PoliciesRead) -> None:
        for policy in event.names:
            self._recorder.open(policy=policy)
