"""How the versions do on what moderators corrected, as it was found the last time.

Invariant: figures are replaced as a whole; a version that has none any more has no series any more.
"""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from toxic_inference.metrics.catalogue import model as catalogue
from toxic_inference.metrics.family import MetricFamily
from toxic_inference.monitoring.live import LiveQuality


class CorrectionMetrics(MetricFamily):
    """Implements the observer of live quality."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self._judged = self.gauge(catalogue.FEEDBACK_JUDGED)
        self._read_at = self.gauge(catalogue.FEEDBACK_READ)
        self._figures = {
            "auc": self.gauge(catalogue.FEEDBACK_AUC),
            "precision": self.gauge(catalogue.FEEDBACK_PRECISION),
            "disagreement": self.gauge(catalogue.FEEDBACK_DISAGREEMENT),
        }

    def quality_read(self, figures: Sequence[LiveQuality], *, at: float) -> None:
        """Show the figures of one reading, and nothing of the one before."""
        self._judged.clear()
        for gauge in self._figures.values():
            gauge.clear()
        for figure in figures:
            self._judged.labels(figure.version, figure.label.value, "yes").set(figure.yes)
            self._judged.labels(figure.version, figure.label.value, "no").set(figure.no)
            for name, gauge in self._figures.items():
                if (value := getattr(figure, name)) is not None:
                    gauge.labels(figure.version, figure.label.value).set(value)
        self._read_at.set(at)
