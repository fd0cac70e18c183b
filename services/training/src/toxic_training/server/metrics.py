"""The training server's Prometheus metrics.

Invariant: label values are enumerations, and every series except the last success exists from the start, so
that a rate is 0 before the first run instead of missing.
"""

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
from toxic_training.retraining.trigger import RetrainingRefused
from toxic_training.server.runs import RunEvent, RunRecord, RunStarted, RunState, Trigger

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

_RUN_SECONDS: Final = tuple(
    60.0 * minutes for minutes in (0.5, 1, 2, 5, 10, 20, 30, 45, 60, 90, 120, 240, 480)
)


class Metrics:
    """One server's metrics, updated by events."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._refused = Counter(
            "toxic_training_retraining_refused",
            "Notifications by Alertmanager that started no run, by reason.",
            ("reason",),
            registry=registry,
        )
        self._started = Counter(
            "toxic_training_runs_started",
            "Runs accepted, by what started them.",
            ("trigger",),
            registry=registry,
        )
        self._ended = Counter(
            "toxic_training_runs_ended",
            "Runs that ended, by what started them and by outcome.",
            ("trigger", "outcome"),
            registry=registry,
        )
        self._seconds = Histogram(
            "toxic_training_run_duration_seconds",
            "Time from a run's start to its end, by outcome.",
            ("outcome",),
            buckets=_RUN_SECONDS,
            registry=registry,
        )
        self._in_progress = Gauge(
            "toxic_training_runs_in_progress", "Runs under way: 0 or 1.", registry=registry
        )
        self._last_success = Gauge(
            "toxic_training_last_success_timestamp_seconds",
            "When a run last succeeded, by what started it; absent before the first of this process.",
            ("trigger",),
            registry=registry,
        )
        for reason in Refusal:
            self._refused.labels(reason.value)
        outcomes = [state.value for state in RunState if state is not RunState.RUNNING]
        for trigger in Trigger:
            self._started.labels(trigger.value)
            for outcome in outcomes:
                self._ended.labels(trigger.value, outcome)
        for outcome in outcomes:
            self._seconds.labels(outcome)

    def record(self, event: RunEvent | RetrainingRefused) -> None:
        """Count an event."""
        if isinstance(event, RetrainingRefused):
            self._refused.labels(event.reason.value).inc()
        elif isinstance(event, RunStarted):
            self._started.labels(event.run.trigger.value).inc()
            self._in_progress.inc()
        else:
            self._count_end(event.run)

    def render(self) -> bytes:
        """Return every metric in Prometheus's text format."""
        return generate_latest(self._registry)

    def _count_end(self, run: RunRecord) -> None:
        trigger, outcome = run.trigger.value, run.state.value
        self._in_progress.dec()
        self._ended.labels(trigger, outcome).inc()
        if run.ended_at is None:
            return
        self._seconds.labels(outcome).observe((run.ended_at - run.started_at).total_seconds())
        if run.state is RunState.SUCCEEDED:
            self._last_success.labels(trigger).set(run.ended_at.timestamp())
