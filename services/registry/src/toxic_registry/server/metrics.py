"""What Prometheus can ask the registry.

Invariant: label values are bounded: routes are named by surface and aliases by the three that mean something,
never by what a request says.
"""

import time
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
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from toxic_registry.gate.aliases import Alias
from toxic_registry.ledger.rows import Entry, Outcome

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
    """One server's metrics; thread-safe. An `Observer` of the ledger."""

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
            "Time from a request's head to its answer's end.",
            ("surface",),
            registry=self.registry,
        )
        self._changes = Counter(
            "toxic_registry_alias_changes_total",
            "Changes of an alias that were asked for.",
            ("alias", "outcome"),
            registry=self.registry,
        )
        self._rows = Gauge(
            "toxic_registry_ledger_rows", "Rows that the ledger holds.", registry=self.registry
        )
        for alias in (*Alias, "other"):
            for outcome in Outcome:
                self._changes.labels(str(alias), outcome.value)

    def __call__(self, entry: Entry) -> None:
        """Count a row; see `Observer`."""
        alias = entry.change.alias if entry.change.alias in set(Alias) else "other"
        self._changes.labels(alias, entry.change.outcome.value).inc()
        self._rows.set(entry.sequence)

    def count_request(self, path: str, method: str, *, status: int, seconds: float) -> None:
        """Count an answered request."""
        surface = next((name for start, name in _SURFACES.items() if path.startswith(start)), "ui")
        known = method if method in _METHODS else "other"
        self._requests.labels(surface, known, str(status)).inc()
        self._seconds.labels(surface).observe(seconds)

    def render(self) -> bytes:
        """Return every metric in Prometheus's text form."""
        return generate_latest(self.registry)


class MetricsMiddleware:
    """Counts and times every request."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection; see ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500  # what the server answers where the app raises

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started = time.perf_counter()
        try:
            await self._app(scope, receive, watch)
        finally:
            self._metrics.count_request(
                scope["path"], scope["method"], status=status, seconds=time.perf_counter() - started
            )
