"""What the doors see: requests, rejected rows, corrections, the registry's messages."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from toxic_core.labels import LABELS
from toxic_inference.feedback import Feedback, FeedbackSource
from toxic_inference.metrics.family import LATENCY_SECONDS, MetricFamily

_SAID = {True: "yes", False: "no"}


class DoorMetrics(MetricFamily):
    """Implements the observers of the middleware, the doors and the feedback desk."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self._declare_http()
        self._declare_feedback()
        self._declare_jobs()

    def _declare_http(self) -> None:
        self._requests = Counter(
            "toxic_inference_requests",
            "Requests answered, by route template, method and HTTP status.",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self._request_seconds = Histogram(
            "toxic_inference_request_duration_seconds",
            "Time from a request's arrival to the end of its answer, by route template.",
            ("route",),
            buckets=LATENCY_SECONDS,
            registry=self.registry,
        )
        self._in_progress = Gauge(
            "toxic_inference_requests_in_progress",
            "Requests being answered now.",
            registry=self.registry,
        )
        self._rejected_texts = Counter(
            "toxic_inference_rejected_rows",
            "CSV rows that couldn't be scored, by reason.",
            ("reason",),
            registry=self.registry,
        )
        self._events = Counter(
            "toxic_inference_events",
            "Messages that an alias moved, by what became of them.",
            ("outcome",),
            registry=self.registry,
        )

    def _declare_feedback(self) -> None:
        self._feedback = Counter(
            "toxic_inference_feedback",
            "Corrections kept, by the door they came through.",
            ("source",),
            registry=self.registry,
        )
        self._feedback_labels = Counter(
            "toxic_inference_feedback_labels",
            "Labels that corrections speak of, by what they say: yes or no.",
            ("label", "said"),
            registry=self.registry,
        )
        for source in FeedbackSource:
            self._feedback.labels(source.value)
        for label in LABELS:
            for said in _SAID.values():
                self._feedback_labels.labels(label.value, said)

    def _declare_jobs(self) -> None:
        self._jobs = Counter(
            "toxic_inference_jobs",
            "Uploaded files that are no longer to be scored, by outcome: done, failed or deleted.",
            ("outcome",),
            registry=self.registry,
        )
        for outcome in ("done", "failed", "deleted"):
            self._jobs.labels(outcome)
        self._jobs_waiting = Gauge(
            "toxic_inference_jobs_in_progress",
            "Uploaded files that wait or are being scored.",
            registry=self.registry,
        )

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

    def request_ended(self, *, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request out."""
        self._in_progress.dec()
        self._requests.labels(route, method, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def row_rejected(self, *, reason: str) -> None:
        """Count a CSV row that couldn't be scored."""
        self._rejected_texts.labels(reason).inc()

    def event_received(self, *, outcome: str) -> None:
        """Count a message from the registry."""
        self._events.labels(outcome).inc()
