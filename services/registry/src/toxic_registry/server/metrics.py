"""The registry's Prometheus metrics.

Invariant: label values are bounded. Routes are labelled by surface, and aliases by the known names or
`other`, never by text from a request.
"""

from itertools import product
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from toxic_core.registered import ALIASES
from toxic_registry.ledger.entries import Entry, Outcome

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

_SURFACES = {
    "/api/2.0/mlflow-artifacts/": "artifacts",
    "/ajax-api/2.0/mlflow-artifacts/": "artifacts",
    "/api/": "api",
    "/ajax-api/": "ui-api",
    "/ledger": "ledger",
    "/health": "health",
    "/metrics": "metrics",
}
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


class Metrics:
    """One server's metrics; thread-safe."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = Counter(
            "toxic_registry_http_requests_total",
            "Requests answered.",
            ("surface", "method", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "toxic_registry_http_request_duration_seconds",
            "Time from a request's headers to the end of its response.",
            ("surface",),
            registry=self.registry,
        )
        self._changes = Counter(
            "toxic_registry_alias_changes_total",
            "Requested changes of an alias.",
            ("alias", "outcome"),
            registry=self.registry,
        )
        self._entries = Gauge("toxic_registry_ledger_rows", "Entries of the ledger.", registry=self.registry)
        # At 0 from the start, so that a rate includes the first event.
        for alias, outcome in product((*ALIASES, "other"), Outcome):
            self._changes.labels(alias, outcome.value)
        for values in product({*_SURFACES.values(), "ui"}, ("GET", "POST"), ("200", "400", "500", "503")):
            self._requests.labels(*values)

    def count_change(self, entry: Entry) -> None:
        """Count a new entry of the ledger."""
        alias = entry.alias if entry.alias in ALIASES else "other"
        self._changes.labels(alias, entry.outcome.value).inc()
        self._entries.set(entry.sequence)

    def count_request(self, path: str, method: str, *, status: int, seconds: float) -> None:
        """Count an answered request."""
        surface = next((name for start, name in _SURFACES.items() if path.startswith(start)), "ui")
        known = method if method in _METHODS else "other"
        self._requests.labels(surface, known, str(status)).inc()
        self._seconds.labels(surface).observe(seconds)

    def render(self) -> bytes:
        """Return every metric in Prometheus's text format."""
        return generate_latest(self.registry)
