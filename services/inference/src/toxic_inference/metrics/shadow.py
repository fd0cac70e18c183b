"""Where the challenger disagrees with the champion."""

from prometheus_client import CollectorRegistry

from toxic_core.labels import LABELS, Label
from toxic_inference.metrics.catalogue import model as catalogue
from toxic_inference.metrics.family import MetricFamily
from toxic_inference.serving.observers import ShadowDrop


class ShadowMetrics(MetricFamily):
    """Implements the observer of shadowing."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self._differences = self.histogram(catalogue.SHADOW_DIFFERENCES)
        self._disagreements = self.counter(catalogue.SHADOW_DISAGREEMENTS)
        self._dropped = self.counter(catalogue.SHADOW_DROPPED)
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
