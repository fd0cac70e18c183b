"""What Prometheus can ask the training server.

Invariant: label values are enumerations, and every series but the time of the last success is there from the
start, so that a rate is 0 and not missing before the first run.
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
from toxic_training.server.desk import RunRecord, RunState, Trigger

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

_MINUTE: Final = 60.0
_RUN_SECONDS: Final = tuple(
    _MINUTE * minutes for minutes in (0.5, 1, 2, 5, 10, 20, 30, 45, 60, 90, 120, 240, 480)
)


class Metrics:
    """One server's metrics: a `RunObserver` and a `RetrainingObserver`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._declare_runs()
        self._refused = Counter(
            "toxic_training_retraining_refused",
            "Notifications by Alertmanager that started no run, by reason.",
            ("reason",),
            registry=self.registry,
        )
        for reason in Refusal:
            self._refused.labels(reason.value)

    def _declare_runs(self) -> None:
        registry = self.registry
        self._started = Counter(
            "toxic_training_runs_started",
            "Runs taken, by what started them.",
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
            "When a run last ended well, by what started it; absent before the first of this process.",
            ("trigger",),
            registry=registry,
        )
        self._declare_values()

    def _declare_values(self) -> None:
        outcomes = [state.value for state in RunState if state is not RunState.RUNNING]
        for trigger in Trigger:
            self._started.labels(trigger.value)
            for outcome in outcomes:
                self._ended.labels(trigger.value, outcome)
        for outcome in outcomes:
            self._seconds.labels(outcome)

    def run_started(self, run: RunRecord) -> None:
        """Count a run in."""
        self._started.labels(run.trigger.value).inc()
        self._in_progress.inc()

    def run_ended(self, run: RunRecord) -> None:
        """Count a run out."""
        trigger, outcome = run.trigger.value, run.state.value
        self._in_progress.dec()
        self._ended.labels(trigger, outcome).inc()
        if run.ended_at is None:
            return
        self._seconds.labels(outcome).observe((run.ended_at - run.started_at).total_seconds())
        if run.state is RunState.SUCCEEDED:
            self._last_success.labels(trigger).set(run.ended_at.timestamp())

    def retraining_refused(self, *, reason: Refusal) -> None:
        """Count a notification that started nothing."""
        self._refused.labels(reason.value).inc()

    def render(self) -> bytes:
        """Return every metric in Prometheus's text form."""
        return generate_latest(self.registry)
