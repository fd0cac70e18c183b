"""Sends spans and metrics to a collector, by OTLP over HTTP.

Invariants: nothing is sent except to the endpoints of the settings. A collector that is slow, full or gone
costs no more than a bounded queue of spans, a log line per outage, and a bounded time at the stop.
"""

import asyncio
import logging
from collections.abc import Sequence
from threading import Thread

import structlog
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry

from toxic_core.errors import ConfigurationError
from toxic_inference import __version__
from toxic_inference.otel.figures import Figures
from toxic_inference.otel.settings import OtelSettings
from toxic_inference.otel.tracing import FollowingSampler, Tracing

_log = structlog.get_logger(__name__)

_SCOPE = InstrumentationScope("toxic_inference", __version__)
_STOP_SECONDS = 5.0
"""Longest time to send the last spans and metrics."""


class _Delivery:
    """Logs an outage of a signal's collector once: the SDK would log each attempt.

    Args:
        signal: `traces` or `metrics`.
        exporter: logs by the logger of its module.
    """

    def __init__(self, signal: str, exporter: object) -> None:
        self._signal = signal
        self._logger = logging.getLogger(type(exporter).__module__)
        self._working = True

    def record(self, *, working: bool) -> None:
        """Take the result of an attempt in; the SDK has logged why the first one of an outage failed."""
        if working is self._working:
            return
        self._working = working
        self._logger.setLevel(logging.NOTSET if working else logging.CRITICAL)
        if working:
            _log.info("otel.delivered", signal=self._signal)
        else:
            _log.warning("otel.not_delivered", signal=self._signal)


class _SpanExport(SpanExporter):
    """Sends spans, and logs outages."""

    def __init__(self, endpoint: str) -> None:
        self._exporter = OTLPSpanExporter(endpoint)
        self._delivery = _Delivery("traces", self._exporter)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; blocks, on the SDK's thread."""
        result = self._exporter.export(spans)
        self._delivery.record(working=result is SpanExportResult.SUCCESS)
        return result

    def shutdown(self) -> None:
        """Give up attempts in progress."""
        self._exporter.shutdown()


class MetricExport:
    """Sends figures at an interval.

    Args:
        figures: read on the event loop, which owns what they show.
        endpoint: the collector's address for metrics.
        interval_seconds: between two exports.
    """

    def __init__(self, figures: Figures, *, endpoint: str, interval_seconds: float) -> None:
        self.figures = figures
        self._exporter = OTLPMetricExporter(endpoint)
        self._delivery = _Delivery("metrics", self._exporter)
        self._interval_seconds = interval_seconds

    async def run(self) -> None:
        """Send until cancelled, one export at a time."""
        sending: Thread | None = None
        while True:
            await asyncio.sleep(self._interval_seconds)
            if sending is not None and sending.is_alive():
                continue
            try:
                # Not an executor's thread, for which Python would wait at its exit.
                sending = Thread(
                    target=self.deliver, args=(self.figures.read(),), name="otel-metrics", daemon=True
                )
                sending.start()
            except Exception:  # noqa: BLE001  a task's boundary: the next export may succeed
                _log.exception("otel.metrics_failed")

    def deliver(self, figures: MetricsData) -> None:
        """Send figures; blocks."""
        result = self._exporter.export(figures)
        self._delivery.record(working=result is MetricExportResult.SUCCESS)

    def shutdown(self) -> None:
        """Give up attempts in progress."""
        self._exporter.shutdown()


class Otel:
    """Traces and metrics of one process.

    Args:
        settings: where they are sent.
        stop_seconds: longest time that `close` takes.

    Attributes:
        tracing: makes spans; None if traces are off.

    Raises:
        ConfigurationError: a variable that the SDK reads can't be used.
    """

    def __init__(self, settings: OtelSettings, *, stop_seconds: float = _STOP_SECONDS) -> None:
        self._settings = settings
        self._stop_seconds = stop_seconds
        self._resource = _resource(settings)
        self._metrics: MetricExport | None = None
        self._spans: BatchSpanProcessor | None = None
        self.tracing: Tracing | None = None
        if endpoint := settings.endpoint("traces"):
            sampler = FollowingSampler(_sampler(settings))
            try:
                # Not the process's own provider: MLflow and other libraries make no spans here.
                provider = TracerProvider(sampler, self._resource, shutdown_on_exit=False)
                self._spans = BatchSpanProcessor(_SpanExport(endpoint))
            except ValueError as error:
                raise ConfigurationError(f"A variable OTEL_… of the SDK can't be used: {error}.") from error
            provider.add_span_processor(self._spans)
            self.tracing = Tracing(provider.get_tracer(_SCOPE.name, _SCOPE.version))
            _log.info("otel.traces", endpoint=endpoint, sampler=settings.traces_sampler)

    def export_metrics(self, registry: CollectorRegistry) -> MetricExport | None:
        """Return what sends a registry's metrics while it runs; None if that is off."""
        if endpoint := self._settings.endpoint("metrics"):
            self._metrics = MetricExport(
                Figures(registry, resource=self._resource, scope=_SCOPE),
                endpoint=endpoint,
                interval_seconds=self._settings.metric_export_interval / 1_000,
            )
            _log.info("otel.metrics", endpoint=endpoint)
        return self._metrics

    def close(self) -> None:
        """Send what is left, for a bounded time; call it on the event loop's thread."""
        (metrics, self._metrics), spans = (self._metrics, None), self._spans
        last = metrics.figures.read() if metrics else None

        def send() -> None:
            if spans is not None:
                spans.shutdown()
            if metrics is not None and last is not None:
                metrics.deliver(last)

        sending = Thread(target=send, name="otel-stop", daemon=True)
        sending.start()
        sending.join(self._stop_seconds)
        if metrics is not None:
            metrics.shutdown()
        if sending.is_alive():
            _log.warning("otel.not_flushed", seconds=self._stop_seconds)


def _resource(settings: OtelSettings) -> Resource:
    """Return what describes the service; OTEL_RESOURCE_ATTRIBUTES goes before the defaults."""
    given = Resource.create()
    if str(given.attributes[SERVICE_NAME]).startswith("unknown_service"):
        given = given.merge(Resource({SERVICE_NAME: settings.service_name}))
    return Resource({SERVICE_VERSION: __version__}).merge(given)


def _sampler(settings: OtelSettings) -> Sampler:
    """Return the sampler of requests and of calls of the registry."""
    root = settings.traces_sampler.removeprefix("parentbased_")
    samplers = {"always_on": ALWAYS_ON, "always_off": ALWAYS_OFF}
    found = samplers.get(root) or TraceIdRatioBased(settings.traces_sampler_arg)
    return ParentBased(found) if settings.traces_sampler != root else found
