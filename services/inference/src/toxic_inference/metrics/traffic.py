"""Metrics of each version's traffic, computed from the monitor's counts at every scrape.

Invariant: nothing here runs during a request.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from toxic_inference.metrics.catalogue import SPECS
from toxic_inference.monitoring.history import Window
from toxic_inference.monitoring.monitor import Monitor


def gauge_family(name: str) -> GaugeMetricFamily:
    """Return a gauge of the catalogue without samples, for a collector to fill."""
    spec = SPECS[name]
    return GaugeMetricFamily(spec.name, spec.means, labels=spec.labels)


class TrafficCollector(Collector):
    """Counters and histograms of every version, since it was loaded."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def describe(self) -> Iterable[Metric]:
        """Return the metrics without samples."""
        return self._families()

    def collect(self) -> Iterator[Metric]:
        """Return the counts up to now."""
        scored, flagged, scores, lengths = self._families()
        for version, monitor in self._monitor.versions().items():
            scheme, counts = monitor.scheme, monitor.counts()
            for language, texts in zip(scheme.languages, counts.languages.tolist(), strict=True):
                scored.add_metric((version, language), texts)
            rows = zip(
                scheme.contract.labels,
                counts.flagged.tolist(),
                counts.scores.tolist(),
                counts.score_sums.tolist(),
                strict=True,
            )
            for label, flagged_texts, bins, total in rows:
                for language, texts in zip(scheme.languages, flagged_texts, strict=True):
                    flagged.add_metric((version, label, language), texts)
                scores.add_metric((version, label), _buckets(scheme.score_edges, bins), total)
            length_bins = _buckets(scheme.length_edges, counts.lengths.tolist())
            lengths.add_metric((version,), length_bins, float(counts.length_sum[0]))
        yield from (scored, flagged, scores, lengths)

    def _families(
        self,
    ) -> tuple[CounterMetricFamily, CounterMetricFamily, HistogramMetricFamily, HistogramMetricFamily]:
        scored, flagged = (
            CounterMetricFamily(spec.name, spec.means, labels=spec.labels)
            for spec in (SPECS["scored_texts_total"], SPECS["flagged_texts_total"])
        )
        scores, lengths = (
            HistogramMetricFamily(spec.name, spec.means, labels=spec.labels)
            for spec in (SPECS["score_ratio"], SPECS["text_tokens"])
        )
        return scored, flagged, scores, lengths


def _buckets(edges: Sequence[float], bins: Sequence[float]) -> list[tuple[str, float]]:
    """Return cumulative buckets; the last bin includes values above its edge, so it becomes +Inf."""
    names = [*(str(edge) for edge in edges[1:-1]), "+Inf"]
    return list(zip(names, accumulate(bins), strict=True))


_FIGURES = (
    ("language_drift_psi", "languages", "psi"),
    ("language_drift_js_distance", "languages", "js_distance"),
    ("length_drift_psi", "lengths", "psi"),
    ("length_drift_js_distance", "lengths", "js_distance"),
    ("score_drift_psi", "scores", "psi"),
    ("score_drift_js_distance", "scores", "js_distance"),
    ("estimated_prevalence_ratio", "quality", "prevalence"),
    ("estimated_precision_ratio", "quality", "precision"),
    ("estimated_recall_ratio", "quality", "recall"),
    ("estimated_f1_ratio", "quality", "f1"),
    ("estimated_accuracy_ratio", "quality", "accuracy"),
)
"""Which attribute of `WindowFigures` has a metric's figure, and under which name."""


class HealthCollector(Collector):
    """Drift and estimated quality of every version, over sliding windows.

    Computed at scrape rather than by a task: it costs well below a millisecond per version and is never
    stale.
    """

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def describe(self) -> Iterable[Metric]:
        """Return the metrics without samples."""
        return [gauge_family(name) for name in ("window_texts", *(name for name, _, _ in _FIGURES))]

    def collect(self) -> Iterator[Metric]:
        """Return the figures of windows that end now."""
        rows = [
            (version, window, self._monitor.figures(version, window))
            for version in self._monitor.versions()
            for window in Window
        ]
        texts = gauge_family("window_texts")
        for version, window, figures in rows:
            texts.add_metric((version, window.value), figures.texts)
        yield texts
        for name, part, figure in _FIGURES:
            family = gauge_family(name)
            for version, window, figures in rows:
                found = getattr(figures, part)
                for label, each in (found if isinstance(found, Mapping) else {None: found}).items():
                    if (value := getattr(each, figure, None)) is not None:
                        labels = (version, label, window.value) if label else (version, window.value)
                        family.add_metric(labels, value)
            yield family
