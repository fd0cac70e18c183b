"""What scoring costs: the queue, batches, tokens, the cache; by version.

Invariant: a version's series are looked up once and kept with it, since a look-up costs as much as a count.
"""

from prometheus_client import CollectorRegistry

from toxic_inference.metrics.catalogue import service as catalogue
from toxic_inference.metrics.family import MetricFamily
from toxic_inference.serving.observers import BatchReport, ReadReport


class ScoringMetrics(MetricFamily):
    """Implements the observer of scoring, but for what it says of texts' scores; makes those of batches."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.queue = self.gauge(catalogue.QUEUE_ROWS)
        self.refused = self.counter(catalogue.REFUSED_ROWS)
        self.expired = self.counter(catalogue.EXPIRED_ROWS)
        self.departed = self.counter(catalogue.DEPARTED_ROWS)
        self._budget = self.gauge(catalogue.BATCH_BUDGET_TOKENS)
        self._declare_batches()
        self._declare_reading()
        self._versions: dict[str, VersionScoring] = {}

    def _declare_batches(self) -> None:
        self.wait_seconds = self.histogram(catalogue.QUEUE_WAIT_SECONDS)
        self.compute_seconds = self.histogram(catalogue.COMPUTE_SECONDS)
        self.batch_rows = self.histogram(catalogue.BATCH_ROWS)
        self.batch_tokens = self.histogram(catalogue.BATCH_TOKENS)
        self.tokens = self.counter(catalogue.TOKENS)
        self.padding = self.counter(catalogue.PADDING_TOKENS)

    def _declare_reading(self) -> None:
        self.tokenise_seconds = self.histogram(catalogue.TOKENISE_SECONDS)
        self.texts = self.counter(catalogue.TOKENISED_TEXTS)
        self.windows = self.counter(catalogue.TOKENISED_WINDOWS)
        self.read_tokens = self.counter(catalogue.TOKENISED_TOKENS)
        self.unknown_tokens = self.counter(catalogue.UNKNOWN_TOKENS)
        self.truncated = self.counter(catalogue.TRUNCATED_TEXTS)
        self.cache_hits = self.counter(catalogue.CACHE_HITS)
        self.cache_misses = self.counter(catalogue.CACHE_MISSES)

    def batch_budget(self, *, tokens: int) -> None:
        """Show how many tokens a batch may have."""
        self._budget.set(tokens)

    def batches(self, version: str) -> "VersionScoring":
        """Return what a version's batch scheduler reports to."""
        if version not in self._versions:
            self._versions[version] = VersionScoring(self, version)
        return self._versions[version]

    def forget_scoring(self, version: str) -> None:
        """Remove a version's series."""
        self._versions.pop(version, None)
        for metric in (
            *(self.wait_seconds, self.compute_seconds, self.batch_rows, self.batch_tokens),
            *(self.tokens, self.padding, self.tokenise_seconds, self.texts, self.windows, self.read_tokens),
            *(self.unknown_tokens, self.truncated, self.cache_hits, self.cache_misses),
        ):
            metric.remove(version)

    # The scoring service's observer

    def looked_up(self, *, version: str, hits: int, misses: int) -> None:
        """Count texts that the cache knew, and those it didn't."""
        self.batches(version).looked_up(hits=hits, misses=misses)

    def read(self, report: ReadReport) -> None:
        """Record one request's tokenising."""
        self.batches(report.version).read(report)


class VersionScoring:
    """One version's series; implements `BatchObserver`.

    Args:
        metrics: all versions'.
        version: which.
    """

    def __init__(self, metrics: ScoringMetrics, version: str) -> None:
        self._metrics = metrics
        self._wait_seconds = metrics.wait_seconds.labels(version)
        self._compute_seconds = metrics.compute_seconds.labels(version)
        self._batch_rows = metrics.batch_rows.labels(version)
        self._batch_tokens = metrics.batch_tokens.labels(version)
        self._tokens = metrics.tokens.labels(version)
        self._padding = metrics.padding.labels(version)
        self._tokenise_seconds = metrics.tokenise_seconds.labels(version)
        self._texts = metrics.texts.labels(version)
        self._windows = metrics.windows.labels(version)
        self._read_tokens = metrics.read_tokens.labels(version)
        self._unknown_tokens = metrics.unknown_tokens.labels(version)
        self._truncated = metrics.truncated.labels(version)
        self._cache_hits = metrics.cache_hits.labels(version)
        self._cache_misses = metrics.cache_misses.labels(version)

    def queue_changed(self, *, rows: int) -> None:
        """Move the queue's depth."""
        self._metrics.queue.inc(rows)

    def batch_ran(self, report: BatchReport) -> None:
        """Record a batch."""
        self._batch_rows.observe(report.rows)
        self._batch_tokens.observe(report.padded_tokens)
        self._tokens.inc(report.tokens)
        self._padding.inc(report.padded_tokens - report.tokens)
        self._compute_seconds.observe(report.compute_seconds)
        self._wait_seconds.observe(report.longest_wait_seconds)

    def refused(self, *, rows: int) -> None:
        """Count refused texts."""
        self._metrics.refused.inc(rows)

    def departed(self, *, rows: int) -> None:
        """Count dropped texts."""
        self._metrics.departed.inc(rows)

    def expired(self, *, rows: int) -> None:
        """Count texts whose deadline passed."""
        self._metrics.expired.inc(rows)

    def looked_up(self, *, hits: int, misses: int) -> None:
        """Count what the cache knew."""
        self._cache_hits.inc(hits)
        self._cache_misses.inc(misses)

    def read(self, report: ReadReport) -> None:
        """Record one request's tokenising."""
        self._texts.inc(report.texts)
        self._windows.inc(report.windows)
        self._read_tokens.inc(report.tokens)
        self._unknown_tokens.inc(report.unknown)
        self._truncated.inc(report.truncated)
        self._tokenise_seconds.observe(report.seconds)
