"""The training server's Prometheus metrics.

Invariant: label values are enumerations, and every series except the last success exists from the start, so
that a rate is 0 before the first run instead of missing.
"""

from functools import partial
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

from toxic_training.retraining.policy import Refusal
from toxic_training.server.runs import RunRecord, RunState, Trigger

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

_RUN_MINUTES: Final = (0.5, 1, 2, 5, 10, 20, 30, 45, 60, 90, 120, 240, 480)
_OUTCOMES: Final = tuple(state for state in RunState if state is not RunState.RUNNING)


class Metrics:
    """One server's metrics, updated by events."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        counter = partial(Counter, namespace="toxic_training", registry=registry)
        gauge = partial(Gauge, namespace="toxic_training", registry=registry)
        self._refused = counter(
            "retraining_refused", "Notifications by Alertmanager that started no run, by reason.", ["reason"]
        )
        self._started = counter("runs_started", "Runs accepted, by what started them.", ["trigger"])
        self._ended = counter(
            "runs_ended", "Runs that ended, by what started them and by outcome.", ["trigger", "outcome"]
        )
        self._seconds = Histogram(
            "toxic_training_run_duration_seconds",
            "Time from a run's start to its end, by outcome.",
            ["outcome"],
            buckets=[60.0 * minutes for minutes in _RUN_MINUTES],
            registry=registry,
        )
        self._in_progress = gauge("runs_in_progress", "Runs under way: 0 or 1.")
        self._last_success = gauge(
            "last_success_timestamp_seconds",
            "When a run last succeeded, by what started it; absent before the first of this process.",
            ["trigger"],
        )
        for metric, names in (
            (self._refused, product(Refusal)),
            (self._started, product(Trigger)),
            (self._ended, product(Trigger, _OUTCOMES)),
            (self._seconds, product(_OUTCOMES)),
        ):
            for values in names:
                metric.labels(*values)

    def record(self, event: RunRecord | Refusal) -> None:
        """Count a run that was accepted or has ended, or a refused retraining."""
        if isinstance(event, Refusal):
            self._refused.labels(event).inc()
        elif event.state is RunState.RUNNING:
            self._started.labels(event.trigger).inc()
            self._in_progress.inc()
        else:
            self._in_progress.dec()
            self._ended.labels(event.trigger, event.state).inc()
            if event.ended_at is not None:
                seconds = (event.ended_at - event.started_at).total_seconds()
                self._seconds.labels(event.state).observe(seconds)
                if event.state is RunState.SUCCEEDED:
                    self._last_success.labels(event.trigger).set(event.ended_at.timestamp())

    def render(self) -> bytes:
        """Return every metric in Prometheus's text format."""
        return generate_latest(self._registry)
