"""Where the challenger disagrees with the champion."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from toxic_core.labels import LABELS, Label
from toxic_inference.metrics.family import MetricFamily
from toxic_inference.serving.observers import ShadowDrop

_DIFFERENCES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)


class ShadowMetrics(MetricFamily):
    """Implements the observer of shadowing."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self._differences = Histogram(
            "toxic_inference_shadow_score_difference_ratio",
            "How far the challenger's calibrated score is from the champion's, by label.",
            ("label",),
            buckets=_DIFFERENCES,
            registry=registry,
        )
        self._disagreements = Counter(
            "toxic_inference_shadow_disagreements",
            "Texts that the challenger would have decided otherwise than the champion, by label.",
            ("label",),
            registry=registry,
        )
        self._dropped = Counter(
            "toxic_inference_shadow_dropped_texts",
            "Sampled texts that weren't compared, by reason.",
            ("reason",),
            registry=registry,
        )
        for label in LABELS:
            self._differences.labels(label.value)
            self._disagreements.labels(label.value)
        for reason in ShadowDrop:
            self._dropped.labels(reason.value)

    def shadow_compared(self, label: Label, *, difference: float, disagrees: bool) -> None:
        """Record one label of one text."""
        self._differences.labels(label.value).observe(difference)
        self._disagreements.labels(label.value).inc(disagrees)

    def shadow_dropped(self, *, reason: ShadowDrop) -> None:
        """Count a sample that wasn't compared."""
        self._dropped.labels(reason.value).inc()
