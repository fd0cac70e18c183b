"""Metrics of how the versions do on the comments that moderators corrected, and of the review."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry

from toxic_inference.events import ReviewReason
from toxic_inference.metrics.recording import make_gauge
from toxic_inference.monitoring.live import LiveQualityRead, ReviewRead

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


def review_shown(registry: CollectorRegistry) -> Callable[[ReviewRead], None]:
    """Return the handler that shows how the review stands.

    A label has no kappa before two reviewers have judged it differently enough for chance to be known.
    """
    waiting = make_gauge("review_open_texts", registry)
    oldest = make_gauge("review_oldest_seconds", registry)
    twice = make_gauge("review_judged_twice_texts", registry)
    kappa = make_gauge("review_agreement_kappa", registry)
    for reason in ReviewReason:
        waiting.labels(reason)

    def show(event: ReviewRead) -> None:
        standing = event.standing
        for reason, texts in standing.open.items():
            waiting.labels(reason).set(texts)
        oldest.set(event.at - standing.oldest.timestamp() if standing.oldest else 0)
        for gauge in (twice, kappa):
            gauge.clear()
        for label, agreement in standing.agreement.items():
            twice.labels(label).set(agreement.texts)
            if agreement.kappa is not None:
                kappa.labels(label).set(agreement.kappa)

    return show
