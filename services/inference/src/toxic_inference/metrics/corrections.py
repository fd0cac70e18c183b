"""Metrics of how the versions do on the comments that moderators corrected."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry

from toxic_inference.metrics.recording import make_gauge
from toxic_inference.monitoring.live import LiveQualityRead

_FIGURES = ("auc", "precision", "disagreement")


def corrections_shown(registry: CollectorRegistry) -> Callable[[LiveQualityRead], None]:
    """Return the handler that shows the latest reading of live quality.

    Each reading replaces all figures; a version without figures has no series.
    """
    judged = make_gauge("feedback_judged_texts", registry)
    read_at = make_gauge("feedback_read_timestamp_seconds", registry)
    gauges = {name: make_gauge(f"feedback_{name}_ratio", registry) for name in _FIGURES}

    def show(event: LiveQualityRead) -> None:
        for gauge in (judged, *gauges.values()):
            gauge.clear()
        for figure in event.figures:
            judged.labels(figure.version, figure.label, "yes").set(figure.yes)
            judged.labels(figure.version, figure.label, "no").set(figure.no)
            for name, gauge in gauges.items():
                if (value := getattr(figure, name)) is not None:
                    gauge.labels(figure.version, figure.label).set(value)
        read_at.set(event.at)

    return show
