"""What scoring costs: the queue, batches, tokens, the cache."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from toxic_inference.metrics.family import LATENCY_SECONDS, MetricFamily
from toxic_inference.serving.observers import BatchReport

_BATCH_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_BATCH_TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)


class ScoringMetrics(MetricFamily):
    """Implements the observers of the batch scheduler and of scoring."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self._declare_queue()
        self._declare_batches()
        self._declare_reading()

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
            buckets=LATENCY_SECONDS,
            registry=registry,
        )
        self._compute = Histogram(
            "toxic_inference_compute_seconds",
            "Time a batch spends in the model.",
            buckets=LATENCY_SECONDS,
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

    def _declare_reading(self) -> None:
        registry = self.registry
        self._tokenise = Histogram(
            "toxic_inference_tokenise_seconds",
            "Time to turn one request's texts into tokens.",
            buckets=LATENCY_SECONDS,
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
