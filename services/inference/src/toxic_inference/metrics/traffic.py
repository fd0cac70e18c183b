"""What the versions say of their traffic, made from the monitor's counts when someone scrapes.

Invariant: the monitor counts, and this only shows; nothing here is on a request's way.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from toxic_inference.metrics.catalogue import Spec
from toxic_inference.metrics.catalogue import model as catalogue
from toxic_inference.metrics.catalogue.spec import counter_family, gauge_family, histogram_family
from toxic_inference.monitoring.estimate import EstimatedQuality
from toxic_inference.monitoring.history import Window
from toxic_inference.monitoring.monitor import Drift, Monitor, VersionMonitor, WindowFigures

_INFINITY = "+Inf"


class TrafficCollector(Collector):
    """Counters and histograms of every version, since it was loaded."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def describe(self) -> Iterable[Metric]:
        """Return the metrics without samples."""
        return (
            counter_family(catalogue.SCORED_TEXTS),
            counter_family(catalogue.FLAGGED_TEXTS),
            histogram_family(catalogue.SCORES),
            histogram_family(catalogue.TEXT_LENGTHS),
        )

    def collect(self) -> Iterator[Metric]:
        """Return what was counted up to now."""
        scored, flagged = counter_family(catalogue.SCORED_TEXTS), counter_family(catalogue.FLAGGED_TEXTS)
        scores, lengths = histogram_family(catalogue.SCORES), histogram_family(catalogue.TEXT_LENGTHS)
        for version, monitor in self._monitor.versions().items():
            _add_decisions(scored, flagged, version, monitor)
            _add_distributions(scores, lengths, version, monitor)
        yield from (scored, flagged, scores, lengths)


def _add_decisions(
    scored: CounterMetricFamily, flagged: CounterMetricFamily, version: str, monitor: VersionMonitor
) -> None:
    scheme, counts = monitor.scheme, monitor.counts()
    for language, texts in zip(scheme.languages, counts.languages.tolist(), strict=True):
        scored.add_metric((version, language), texts)
    for label, by_language in zip(scheme.contract.labels, counts.flagged.tolist(), strict=True):
        for language, texts in zip(scheme.languages, by_language, strict=True):
            flagged.add_metric((version, label.value, language), texts)


def _add_distributions(
    scores: HistogramMetricFamily, lengths: HistogramMetricFamily, version: str, monitor: VersionMonitor
) -> None:
    scheme, counts = monitor.scheme, monitor.counts()
    rows = zip(scheme.contract.labels, counts.scores.tolist(), counts.score_sums.tolist(), strict=True)
    for label, bins, total in rows:
        scores.add_metric((version, label.value), _buckets(scheme.score_edges, bins), total)
    length_bins = _buckets(scheme.length_edges, counts.lengths.tolist())
    lengths.add_metric((version,), length_bins, float(counts.length_sum[0]))


def _buckets(edges: Sequence[float], bins: Sequence[float]) -> list[tuple[str, float]]:
    """Return cumulative buckets; the last bin holds what lies above its edge too, and so becomes +Inf."""
    names = [*(str(edge) for edge in edges[1:-1]), _INFINITY]
    return list(zip(names, accumulate(bins), strict=True))


class HealthCollector(Collector):
    """Drift and estimated quality of every version, over sliding windows.

    Made at scrape and not by a task: it costs well below a millisecond a version, is never stale, and a
    service that nobody watches spends nothing on it.
    """

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def describe(self) -> Iterable[Metric]:
        """Return the metrics without samples."""
        return (
            gauge_family(catalogue.WINDOW_TEXTS),
            *(gauge_family(spec) for spec, _ in (*_SCORE_DRIFT, *_QUALITY)),
            *(gauge_family(spec) for spec, _, _ in _TRAFFIC_DRIFT),
        )

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
        yield from _by_version(rows)
        yield from _by_label(rows)


_Row = tuple[str, Window, WindowFigures]

_SCORE_DRIFT: tuple[tuple[Spec, Callable[[Drift], float]], ...] = (
    (catalogue.SCORE_DRIFT_PSI, lambda drift: drift.psi),
    (catalogue.SCORE_DRIFT_JS, lambda drift: drift.js_distance),
)
_QUALITY: tuple[tuple[Spec, Callable[[EstimatedQuality], float | None]], ...] = (
    (catalogue.ESTIMATED_PREVALENCE, lambda quality: quality.prevalence),
    (catalogue.ESTIMATED_PRECISION, lambda quality: quality.precision),
    (catalogue.ESTIMATED_RECALL, lambda quality: quality.recall),
    (catalogue.ESTIMATED_F1, lambda quality: quality.f1),
    (catalogue.ESTIMATED_ACCURACY, lambda quality: quality.accuracy),
)
_TRAFFIC_DRIFT: tuple[tuple[Spec, Callable[[WindowFigures], Drift | None], Callable[[Drift], float]], ...] = (
    (catalogue.LANGUAGE_DRIFT_PSI, lambda figures: figures.languages, lambda drift: drift.psi),
    (catalogue.LANGUAGE_DRIFT_JS, lambda figures: figures.languages, lambda drift: drift.js_distance),
    (catalogue.LENGTH_DRIFT_PSI, lambda figures: figures.lengths, lambda drift: drift.psi),
    (catalogue.LENGTH_DRIFT_JS, lambda figures: figures.lengths, lambda drift: drift.js_distance),
)


def _by_version(rows: Sequence[_Row]) -> Iterator[Metric]:
    for spec, drift_of, value_of in _TRAFFIC_DRIFT:
        family = gauge_family(spec)
        for version, window, figures in rows:
            if (drift := drift_of(figures)) is not None:
                family.add_metric((version, window.value), value_of(drift))
        yield family


def _by_label(rows: Sequence[_Row]) -> Iterator[Metric]:
    for drift_spec, drift_of in _SCORE_DRIFT:
        family = gauge_family(drift_spec)
        for version, window, figures in rows:
            for label, drift in figures.scores.items():
                family.add_metric((version, label.value, window.value), drift_of(drift))
        yield family
    for spec, value_of in _QUALITY:
        family = gauge_family(spec)
        for version, window, figures in rows:
            for label, quality in figures.quality.items():
                if (value := value_of(quality)) is not None:
                    family.add_metric((version, label.value, window.value), value)
        yield family
