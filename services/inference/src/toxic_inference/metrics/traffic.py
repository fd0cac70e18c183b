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

from toxic_inference.metrics.catalogue import Spec
from toxic_inference.metrics.catalogue import model as catalogue
from toxic_inference.monitoring.history import Window
from toxic_inference.monitoring.monitor import Monitor, WindowFigures

_INFINITY = "+Inf"


def gauge_family(spec: Spec) -> GaugeMetricFamily:
    """Return a gauge without samples, for a collector to fill."""
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
            for spec in (catalogue.SCORED_TEXTS, catalogue.FLAGGED_TEXTS)
        )
        scores, lengths = (
            HistogramMetricFamily(spec.name, spec.means, labels=spec.labels)
            for spec in (catalogue.SCORES, catalogue.TEXT_LENGTHS)
        )
        return scored, flagged, scores, lengths


def _buckets(edges: Sequence[float], bins: Sequence[float]) -> list[tuple[str, float]]:
    """Return cumulative buckets; the last bin includes values above its edge, so it becomes +Inf."""
    names = [*(str(edge) for edge in edges[1:-1]), _INFINITY]
    return list(zip(names, accumulate(bins), strict=True))


_FIGURES: tuple[tuple[Spec, str, str], ...] = (
    (catalogue.LANGUAGE_DRIFT_PSI, "languages", "psi"),
    (catalogue.LANGUAGE_DRIFT_JS, "languages", "js_distance"),
    (catalogue.LENGTH_DRIFT_PSI, "lengths", "psi"),
    (catalogue.LENGTH_DRIFT_JS, "lengths", "js_distance"),
    (catalogue.SCORE_DRIFT_PSI, "scores", "psi"),
    (catalogue.SCORE_DRIFT_JS, "scores", "js_distance"),
    (catalogue.ESTIMATED_PREVALENCE, "quality", "prevalence"),
    (catalogue.ESTIMATED_PRECISION, "quality", "precision"),
    (catalogue.ESTIMATED_RECALL, "quality", "recall"),
    (catalogue.ESTIMATED_F1, "quality", "f1"),
    (catalogue.ESTIMATED_ACCURACY, "quality", "accuracy"),
)
"""Which attribute of `WindowFigures` has a metric's figure, and under which name."""


def _values(figures: WindowFigures, part: str, figure: str) -> dict[tuple[str, ...], float]:
    """Return a figure by the labels that come before `window`."""
    found = getattr(figures, part)
    if not isinstance(found, Mapping):
        found = {None: found}
    values = {(label,) if label else (): getattr(each, figure, None) for label, each in found.items()}
    return {labels: value for labels, value in values.items() if value is not None}


class HealthCollector(Collector):
    """Drift and estimated quality of every version, over sliding windows.

    Computed at scrape rather than by a task: it costs well below a millisecond per version and is never
    stale.
    """

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def describe(self) -> Iterable[Metric]:
        """Return the metrics without samples."""
        return [gauge_family(spec) for spec in (catalogue.WINDOW_TEXTS, *(spec for spec, _, _ in _FIGURES))]

    def collect(self) -> Iterator[Metric]:
        """Return the figures of windows that end now."""
        rows = [
            (version, window, self._monitor.figures(version, window))
            for version in self._monitor.versions()
            for window in Window
        ]
        texts = gauge_family(catalogue.WINDOW_TEXTS)
        for version, window, figures in rows:
            texts.add_metric((version, window.value), figures.texts)
        yield texts
        for spec, part, figure in _FIGURES:
            family = gauge_family(spec)
            for version, window, figures in rows:
                for labels, value in _values(figures, part, figure).items():
                    family.add_metric((version, *labels, window.value), value)
            yield family
