"""Every Prometheus metric of the service.

Owns names, units, label values and the registry they live in. Implements the observer protocols of the core
and of the HTTP layer, so that neither knows Prometheus.

Invariant: label values are bounded: routes are templates, states and reasons are enumerations, and a
version's series are removed when the version is forgotten.
"""

from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from toxic_core.errors import ContractError, DigestMismatchError, RegistryUnavailableError
from toxic_core.labels import LABELS
from toxic_inference.feedback import Feedback, FeedbackSource
from toxic_inference.serving.errors import SignatureError, WarmupError
from toxic_inference.serving.observers import BatchReport
from toxic_inference.serving.states import State

_LATENCY_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LOAD_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320)
_BATCH_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_BATCH_TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)

# The most specific class first.
_LOAD_FAILURE_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (DigestMismatchError, "digest"),
    (ContractError, "contract"),
    (SignatureError, "signature"),
    (WarmupError, "warmup"),
    (RegistryUnavailableError, "registry"),
    (OSError, "disk"),
)
_OTHER = "other"
_SAID = {True: "yes", False: "no"}


class Metrics:
    """The service's metrics; one object a process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
            self.registry.register(collector)
        self._declare_http()
        self._declare_queue()
        self._declare_batches()
        self._declare_models()
        self._declare_feedback()

    def render(self) -> bytes:
        """Return every metric in Prometheus's text format."""
        return generate_latest(self.registry)

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
            buckets=_LATENCY_SECONDS,
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

    def _declare_queue(self) -> None:
        registry = self.registry
        self._queue = Gauge("toxic_inference_queue_rows", "Texts waiting to be scored.", registry=registry)
        self._refused = Counter(
            "toxic_inference_refused_rows", "Texts refused because the queue was full.", registry=registry
        )
        self._expired = Counter(
            "toxic_inference_expired_rows",
            "Waiting texts dropped because their deadline had passed.",
            registry=registry,
        )
        self._departed = Counter(
            "toxic_inference_departed_rows",
            "Waiting texts dropped because their caller left.",
            registry=registry,
        )

    def _declare_batches(self) -> None:
        registry = self.registry
        self._wait = Histogram(
            "toxic_inference_queue_wait_seconds",
            "Longest wait of any text in a batch, from submission to the batch's start.",
            buckets=_LATENCY_SECONDS,
            registry=registry,
        )
        self._compute = Histogram(
            "toxic_inference_compute_seconds",
            "Time a batch spends in the model.",
            buckets=_LATENCY_SECONDS,
            registry=registry,
        )
        self._tokenise = Histogram(
            "toxic_inference_tokenise_seconds",
            "Time to turn one request's texts into tokens.",
            buckets=_LATENCY_SECONDS,
            registry=registry,
        )
        self._texts = Counter(
            "toxic_inference_tokenised_texts", "Texts turned into tokens.", registry=registry
        )
        self._windows = Counter(
            "toxic_inference_tokenised_windows",
            "Windows that texts were read in; as many as texts where none is long.",
            registry=registry,
        )
        self._truncated = Counter(
            "toxic_inference_truncated_texts",
            "Texts longer than the most windows, so that their end wasn't read.",
            registry=registry,
        )
        self._cache_hits = Counter(
            "toxic_inference_score_cache_hits", "Texts answered from the cache.", registry=registry
        )
        self._cache_misses = Counter(
            "toxic_inference_score_cache_misses",
            "Texts that the cache was asked for and didn't know.",
            registry=registry,
        )
        self._batch_rows = Histogram(
            "toxic_inference_batch_rows", "Texts in a batch.", buckets=_BATCH_ROWS, registry=registry
        )
        self._batch_tokens = Histogram(
            "toxic_inference_batch_tokens",
            "Tokens in a batch, padding included.",
            buckets=_BATCH_TOKENS,
            registry=registry,
        )
        self._tokens = Counter("toxic_inference_tokens", "Tokens of texts scored.", registry=registry)
        self._padding = Counter(
            "toxic_inference_padding_tokens", "Tokens of padding computed for nothing.", registry=registry
        )

    def _declare_models(self) -> None:
        registry = self.registry
        self._states = Gauge(
            "toxic_inference_model_version_state",
            "1 for the state a model version is in, 0 for the others.",
            ("version", "state"),
            registry=registry,
        )
        self._aliases = Gauge(
            "toxic_inference_alias_info",
            "1 for the model version that an alias routes to.",
            ("alias", "version"),
            registry=registry,
        )
        self._load_seconds = Histogram(
            "toxic_inference_load_seconds",
            "Time to fetch, verify, load and warm up a version that became available.",
            buckets=_LOAD_SECONDS,
            registry=registry,
        )
        self._load_failures = Counter(
            "toxic_inference_load_failures",
            "Loads of a model version that failed, by reason.",
            ("reason",),
            registry=registry,
        )
        for reason in (*(reason for _, reason in _LOAD_FAILURE_REASONS), _OTHER):
            self._load_failures.labels(reason)
        self._source_up = Gauge(
            "toxic_inference_source_up",
            "1 if the registry or model folder answered the last poll, else 0.",
            registry=registry,
        )
        self._events = Counter(
            "toxic_inference_events",
            "Messages that an alias moved, by what became of them.",
            ("outcome",),
            registry=registry,
        )
        self._alias_versions: dict[str, str] = {}

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

    # The batch scheduler's observer

    def queue_changed(self, *, rows: int) -> None:
        """Move the queue's depth."""
        self._queue.inc(rows)

    def batch_ran(self, report: BatchReport) -> None:
        """Record a batch."""
        self._batch_rows.observe(report.rows)
        self._batch_tokens.observe(report.padded_tokens)
        self._tokens.inc(report.tokens)
        self._padding.inc(report.padded_tokens - report.tokens)
        self._compute.observe(report.compute_seconds)
        self._wait.observe(report.longest_wait_seconds)

    def refused(self, *, rows: int) -> None:
        """Count refused texts."""
        self._refused.inc(rows)

    def departed(self, *, rows: int) -> None:
        """Count dropped texts."""
        self._departed.inc(rows)

    def expired(self, *, rows: int) -> None:
        """Count rows whose deadline passed."""
        self._expired.inc(rows)

    # The scoring service's observer

    def looked_up(self, *, hits: int, misses: int) -> None:
        """Count texts that the cache knew, and those it didn't."""
        self._cache_hits.inc(hits)
        self._cache_misses.inc(misses)

    def tokenised(self, *, texts: int, truncated: int, windows: int, seconds: float) -> None:
        """Record one request's tokenising."""
        self._texts.inc(texts)
        self._windows.inc(windows)
        self._truncated.inc(truncated)
        self._tokenise.observe(seconds)

    # The manager's observer

    def state_changed(self, *, version: str, state: State | None) -> None:
        """Show a version's state, or remove a forgotten version."""
        for other in State:
            if state is None:
                self._states.remove(version, other.value)
            else:
                self._states.labels(version, other.value).set(other is state)

    def load_succeeded(self, *, seconds: float) -> None:
        """Record a load."""
        self._load_seconds.observe(seconds)

    def load_failed(self, error: Exception) -> None:
        """Count a failed load."""
        reason = next((reason for cls, reason in _LOAD_FAILURE_REASONS if isinstance(error, cls)), _OTHER)
        self._load_failures.labels(reason).inc()

    def routed(self, *, alias: str, version: str | None) -> None:
        """Show where an alias routes to."""
        if previous := self._alias_versions.pop(alias, None):
            self._aliases.remove(alias, previous)
        if version is not None:
            self._aliases.labels(alias, version).set(1)
            self._alias_versions[alias] = version

    # The poller's observer

    def polled(self, *, answered: bool) -> None:
        """Show whether the source answers."""
        self._source_up.set(answered)
