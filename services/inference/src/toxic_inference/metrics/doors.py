"""What the doors see: requests, rejected rows, corrections, the registry's messages."""

from prometheus_client import CollectorRegistry

from toxic_core.labels import LABELS
from toxic_inference.corrections.record import Feedback, FeedbackSource
from toxic_inference.metrics.catalogue import service as catalogue
from toxic_inference.metrics.family import MetricFamily

_SAID = {True: "yes", False: "no"}


class DoorMetrics(MetricFamily):
    """Implements the observers of the middleware, the doors and the feedback desk."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self._declare_http()
        self._declare_feedback()
        self._declare_jobs()

    def _declare_http(self) -> None:
        self._requests = self.counter(catalogue.REQUESTS)
        self._request_seconds = self.histogram(catalogue.REQUEST_SECONDS)
        self._in_progress = self.gauge(catalogue.REQUESTS_IN_PROGRESS)
        self._refused_requests = self.counter(catalogue.REFUSED_REQUESTS)
        self._rejected_rows = self.counter(catalogue.REJECTED_ROWS)
        self._events = self.counter(catalogue.EVENTS)

    def _declare_feedback(self) -> None:
        self._feedback = self.counter(catalogue.FEEDBACK)
        self._feedback_labels = self.counter(catalogue.FEEDBACK_LABELS)
        for source in FeedbackSource:
            self._feedback.labels(source.value)
        for label in LABELS:
            for said in _SAID.values():
                self._feedback_labels.labels(label.value, said)

    def _declare_jobs(self) -> None:
        self._jobs = self.counter(catalogue.JOBS)
        for outcome in ("done", "failed", "deleted"):
            self._jobs.labels(outcome)
        self._jobs_waiting = self.gauge(catalogue.JOBS_IN_PROGRESS)

    # The job desk's observer

    def job_ended(self, *, outcome: str) -> None:
        """Count a job out."""
        self._jobs.labels(outcome).inc()

    def jobs_changed(self, *, waiting: int) -> None:
        """Show how many there are."""
        self._jobs_waiting.set(waiting)

    # The feedback desk's observer

    def feedback_kept(self, feedback: Feedback) -> None:
        """Count a correction and what it says."""
        self._feedback.labels(feedback.source.value).inc()
        for label, said in feedback.labels.items():
            self._feedback_labels.labels(label.value, _SAID[said]).inc()

    # The HTTP layer's observer

    def request_started(self) -> None:
        """Count a request in."""
        self._in_progress.inc()

    def request_refused(self) -> None:
        """Count a refusal."""
        self._refused_requests.inc()

    def request_ended(self, *, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request out."""
        self._in_progress.dec()
        self._requests.labels(route, method, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def row_rejected(self, *, reason: str) -> None:
        """Count a CSV row that couldn't be scored."""
        self._rejected_rows.labels(reason).inc()

    def event_received(self, *, outcome: str) -> None:
        """Count a message from the registry."""
        self._events.labels(outcome).inc()
