"""Metrics of how the versions do on the comments that moderators corrected.

Invariant: each reading replaces all figures; a version without figures has no series.
"""

from prometheus_client import CollectorRegistry

from toxic_inference.metrics.catalogue import model as catalogue
from toxic_inference.metrics.recording import make_gauge
from toxic_inference.monitoring.live import LiveQualityRead


class CorrectionMetrics:
    """Shows the latest reading of live quality."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._judged = make_gauge(catalogue.FEEDBACK_JUDGED, registry)
        self._read_at = make_gauge(catalogue.FEEDBACK_READ, registry)
        self._figures = {
            "auc": make_gauge(catalogue.FEEDBACK_AUC, registry),
            "precision": make_gauge(catalogue.FEEDBACK_PRECISION, registry),
            "disagreement": make_gauge(catalogue.FEEDBACK_DISAGREEMENT, registry),
        }

    def show(self, event: LiveQualityRead) -> None:
        """Replace the figures of the reading before."""
        for gauge in (self._judged, *self._figures.values()):
            gauge.clear()
        for figure in event.figures:
            self._judged.labels(figure.version, figure.label, "yes").set(figure.yes)
            self._judged.labels(figure.version, figure.label, "no").set(figure.no)
            for name, gauge in self._figures.items():
                if (value := getattr(figure, name)) is not None:
                    gauge.labels(figure.version, figure.label).set(value)
        self._read_at.set(event.at)
