"""How the service watches itself: the part of the composition root that makes metrics, and what they need.

Invariant: with metrics off, nothing is counted and nothing is read for it.
"""

import time
from dataclasses import dataclass

from toxic_inference.adapters.nvidia import NvidiaReader
from toxic_inference.metrics import Metrics, SilentMetrics
from toxic_inference.metrics.devices import GpuCollector
from toxic_inference.monitoring.live import JudgedSource, LiveParts, LiveWatch
from toxic_inference.monitoring.monitor import Monitor
from toxic_inference.serving.clock import SystemClock
from toxic_inference.settings import Settings

ServiceMetrics = Metrics | SilentMetrics


@dataclass(frozen=True, slots=True)
class Watching:
    """What watches the service.

    Attributes:
        metrics: told of everything.
        tasks: to be run as long as the service does.
    """

    metrics: ServiceMetrics
    tasks: tuple[LiveWatch, ...] = ()


def start_watching(settings: Settings, corrections: JudgedSource) -> Watching:
    """Return what the settings ask for."""
    if settings.metrics == "off":
        return Watching(SilentMetrics())
    clock = SystemClock()
    metrics = Metrics(Monitor(clock, min_texts=settings.monitor_min_texts))
    metrics.registry.register(GpuCollector(NvidiaReader()))
    metrics.batch_budget(tokens=settings.batch_token_budget)
    parts = LiveParts(
        source=corrections,
        contracts=metrics.monitor.contracts,
        clock=clock,
        time=time.time,
        observer=metrics,
    )
    live = LiveWatch(
        parts,
        interval_seconds=settings.monitor_feedback_interval_seconds,
        limit=settings.monitor_feedback_rows,
        at_least=settings.monitor_min_feedback,
    )
    return Watching(metrics, (live,))
