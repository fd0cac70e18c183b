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
from toxic_inference.monitoring.monitor import Monitor, WindowFigures


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


_POLICY_FIGURES = (
    ("policy_language_drift_psi", "languages", "psi"),
    ("policy_score_drift_psi", "scores", "psi"),
    ("policy_estimated_prevalence_ratio", "quality", "prevalence"),
    ("policy_estimated_precision_ratio", "quality", "precision"),
    ("policy_estimated_recall_ratio", "quality", "recall"),
)
"""The same by policy: fewer, because policies multiply the series."""

_Figures = Sequence[tuple[tuple[str, ...], Window, WindowFigures]]
"""Figures of windows, with the values of the labels before `label` and `window`."""


class HealthCollector(Collector):
    """Drift and estimated quality of every version, and of its policies, over sliding windows.

    Computed at scrape rather than by a task: it costs well below a millisecond per version and policy, and is
    never stale.
    """

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def describe(self) -> Iterable[Metric]:
        """Return the metrics without samples."""
        names = [name for name, _, _ in (*_FIGURES, *_POLICY_FIGURES)]
        return [
            gauge_family(name) for name in ("window_seconds", "window_texts", "policy_window_texts", *names)
        ]

    def collect(self) -> Iterator[Metric]:
        """Return the figures of windows that end now."""
        monitor = self._monitor
        rows: _Figures = [
            ((version,), window, monitor.figures(version, window))
            for version in monitor.versions()
            for window in Window
        ]
        watched = gauge_family("window_seconds")
        for of, window, figures in rows:
            watched.add_metric((*of, window.value), figures.seconds)
        yield watched
        yield from _families("window_texts", _FIGURES, rows)
        rows = [
            (key, window, figures) for window in Window for key, figures in monitor.policies(window).items()
        ]
        yield from _families("policy_window_texts", _POLICY_FIGURES, rows)


def _families(
    texts_name: str, names: Sequence[tuple[str, str, str]], rows: _Figures
) -> Iterator[GaugeMetricFamily]:
    texts = gauge_family(texts_name)
    for of, window, figures in rows:
        texts.add_metric((*of, window.value), figures.texts)
    yield texts
    for name, part, figure in names:
        family = gauge_family(name)
        for of, window, figures in rows:
            found = getattr(figures, part)
            for label, each in (found if isinstance(found, Mapping) else {None: found}).items():
                if (value := getattr(each, figure, None)) is not None:
                    family.add_metric((*of, *((label,) if label else ()), window.value), value)
        yield family
