"""How the service watches itself: composes metrics, traces, the monitor and the reading of corrections.

Invariant: with metrics off, nothing is counted and nothing is read for it.
"""

import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, generate_latest

from toxic_core.contract.reference import RecentTraffic
from toxic_inference.adapters.nvidia import NvidiaReader
from toxic_inference.corrections.review_store import ReviewStore
from toxic_inference.corrections.store import DatabaseFeedbackStore
from toxic_inference.events import Emit, Event, ignore
from toxic_inference.metrics import Metrics
from toxic_inference.metrics.devices import DiskCollector, GpuCollector
from toxic_inference.monitoring.live import LiveWatch
from toxic_inference.monitoring.monitor import Monitor
from toxic_inference.monitoring.saved import WindowKeeper, read_windows
from toxic_inference.serving.clock import SystemClock
from toxic_inference.settings import Settings

if TYPE_CHECKING:
    from toxic_inference.otel.exporting import Otel


@dataclass(frozen=True, slots=True)
class Watching:
    """What watches the service.

    Attributes:
        emit: receives every event.
        render: returns every metric in Prometheus's text format.
        totals: returns a version's totals by metric; None to count none.
        traffic: returns what a version saw lately; None if that isn't counted, or is too little.
        runs: run as long as the service does.
        close: ends it, once these have ended.
    """

    emit: Emit
    render: Callable[[], bytes]
    totals: Callable[[str], Mapping[str, float]] | None = None
    traffic: Callable[[str], RecentTraffic | None] = lambda _: None
    runs: tuple[Callable[[], Coroutine[None, None, None]], ...] = ()
    close: Callable[[], None] = lambda: None


class _WallClock(SystemClock):
    """Seconds since 1970: the monitor's windows continue in the next process."""

    def now(self) -> float:
        """Return the seconds."""
        return time.time()


def start_watching(
    settings: Settings, corrections: DatabaseFeedbackStore, otel: "Otel | None" = None
) -> Watching:
    """Return what the settings ask for; spans and OTLP metrics only with `otel`."""
    tracing = otel.tracing if otel else None
    if settings.metrics == "off":
        return Watching(tracing.emit if tracing else ignore, lambda: generate_latest(REGISTRY))
    clock = SystemClock()
    file = settings.state_dir / "monitoring.npz"
    saved = read_windows(file, now=time.time())
    metrics = Metrics(Monitor(_WallClock(), min_texts=settings.monitor_min_texts, saved=saved))
    keeper = WindowKeeper(file=file, save=metrics.monitor.save, clock=clock)
    metrics.registry.register(GpuCollector(NvidiaReader().read))
    folders = {"state": settings.state_dir, "cache": settings.cache_dir}
    metrics.registry.register(DiskCollector(folders))
    metrics.batch_budget(tokens=settings.batch_token_budget)
    review, keep = ReviewStore(corrections), timedelta(days=settings.review_keep_days)
    live = LiveWatch(
        read_judged=corrections.judged,
        read_review=lambda: review.standing(since=datetime.now(UTC) - keep),
        contracts=metrics.monitor.contracts,
        clock=clock,
        time=time.time,
        emit=metrics.emit,
        interval_seconds=settings.monitor_feedback_interval_seconds,
        limit=settings.monitor_feedback_rows,
        at_least=settings.monitor_min_feedback,
    )
    close, metered = keeper.close, metrics.registry
    export = otel.export_metrics(metered) if otel else None
    runs = (live.run, keeper.run, *((export.run,) if export else ()))
    watching = Watching(
        metrics.emit, metrics.render, metrics.totals, metrics.monitor.traffic, runs=runs, close=close
    )
    if tracing is None:
        return watching
    count, trace = metrics.emit, tracing.emit

    def emit(event: Event) -> None:
        count(event)
        trace(event)

    return replace(watching, emit=emit)
