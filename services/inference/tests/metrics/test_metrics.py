"""Events become the catalogue's metrics."""

from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime

import pytest

from toxic_core.labels import LABELS
from toxic_inference import events
from toxic_inference.corrections.agreement import Agreement
from toxic_inference.corrections.review_store import ReviewStanding
from toxic_inference.events import (
    AliasRouted,
    BatchRan,
    Event,
    LabelJudged,
    LoadFailed,
    LoadFailure,
    QueueChanged,
    RequestStarted,
    ShadowDropped,
    SourcePolled,
    StateChanged,
    TextsTokenised,
    VersionAvailable,
)
from toxic_inference.metrics import Metrics
from toxic_inference.metrics.catalogue import SPECS, Spec
from toxic_inference.monitoring.live import ReviewRead
from toxic_inference.monitoring.monitor import Monitor
from toxic_inference.serving.versions.states import State
from toxic_testing.inference.bundles import make_contract
from toxic_testing.inference.fakes import ManualClock

Metric = Callable[..., float | None]


@pytest.fixture
def metrics(clock: ManualClock) -> Metrics:
    """Metrics before anything happened."""
    return Metrics(Monitor(clock, min_texts=1))


@pytest.fixture
def metric(metrics: Metrics) -> Metric:
    """Return the function that reads one sample; None if there is no such series."""

    def read(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"toxic_inference_{name}", labels)

    return read


def tokenised(version: str, *, texts: int = 1) -> TextsTokenised:
    """Return an event of texts of ten tokens."""
    return TextsTokenised(
        version=version,
        texts=texts,
        windows=texts,
        tokens=10 * texts,
        unknown=0,
        truncated=0,
        low_confidence=0,
        seconds=0.5,
    )


@pytest.mark.parametrize(
    "spec", [spec for spec in SPECS.values() if spec.triggers], ids=lambda spec: spec.name
)
def test_an_event_has_the_labels_of_each_metric_that_it_moves(spec: Spec) -> None:
    """A metric's labels are attributes of its events."""
    for trigger in spec.triggers:
        assert set(spec.labels) <= {field.name for field in fields(trigger.event)}  # type: ignore[arg-type]


def test_every_event_moves_a_metric(metrics: Metrics) -> None:
    """No event is emitted for nothing."""
    defined = [cls for cls in vars(events).values() if isinstance(cls, type) and issubclass(cls, Event)]
    unhandled = [cls.__name__ for cls in defined if cls is not Event and not metrics.handles(cls)]
    assert unhandled == []


def test_counters_add_up_per_version(metrics: Metrics, metric: Metric) -> None:
    """Two versions are counted apart; a histogram keeps the sum of what it observed."""
    for event in (tokenised("1"), tokenised("2", texts=3), tokenised("1")):
        metrics.emit(event)
    assert metric("tokenised_texts_total", version="1") == 2
    assert metric("tokenised_tokens_total", version="2") == 30
    assert metric("tokenise_seconds_sum", version="1") == 1.0


def test_batches_are_measured(metrics: Metrics, metric: Metric) -> None:
    """Padding is the tokens computed beyond the texts' own."""
    metrics.emit(
        BatchRan(
            version="7",
            rows=2,
            tokens=7,
            padded_tokens=10,
            compute_seconds=0.1,
            longest_wait_seconds=0.2,
        )
    )
    assert metric("tokens_total", version="7") == 7
    assert metric("padding_tokens_total", version="7") == 3
    assert metric("batch_rows_sum", version="7") == 2


def test_gauges_follow(metrics: Metrics, metric: Metric) -> None:
    """Depth is the sum of its changes; the source's state is the last one."""
    for event in (
        QueueChanged(3),
        QueueChanged(-1),
        SourcePolled(answered=True),
        SourcePolled(answered=False),
        RequestStarted(),
    ):
        metrics.emit(event)
    assert metric("queue_rows") == 2
    assert metric("source_up") == 0
    assert metric("requests_in_progress") == 1


def test_enumerations_are_there_from_the_start(metrics: Metrics, metric: Metric) -> None:
    """A rate includes the first event only if the series was 0 before it."""
    assert metric("load_failures_total", reason="digest") == 0
    assert metric("jobs_total", outcome="done") == 0
    metrics.emit(LoadFailed(LoadFailure.DIGEST))
    assert metric("load_failures_total", reason="digest") == 1
    metrics.emit(ShadowDropped(events.ShadowDrop.LOAD))
    assert metric("shadow_dropped_texts_total", reason="load") == 1


def test_a_contract_s_labels_are_there_once_its_version_is(metrics: Metrics, metric: Metric) -> None:
    """Labels come from the contract, not from a list in the code."""
    assert metric("feedback_labels_total", label=LABELS[0], said="yes") is None
    metrics.emit(VersionAvailable("1", make_contract(), "fake"))
    assert metric("feedback_labels_total", label=LABELS[0], said="yes") == 0
    assert metric("shadow_disagreements_total", label=LABELS[-1]) == 0
    metrics.emit(LabelJudged(LABELS[0], "yes"))
    assert metric("feedback_labels_total", label=LABELS[0], said="yes") == 1


def test_versions_and_aliases_leave_no_series_behind(metrics: Metrics, metric: Metric) -> None:
    """A version has one state at a time; a forgotten version and a moved alias have no series."""
    metrics.emit(StateChanged("1", State.LOADING))
    metrics.emit(StateChanged("1", State.AVAILABLE))
    assert metric("model_version_state", version="1", state="available") == 1
    assert metric("model_version_state", version="1", state="loading") == 0
    metrics.emit(AliasRouted("champion", "1"))
    metrics.emit(tokenised("1"))
    metrics.emit(AliasRouted("champion", "2"))
    metrics.emit(StateChanged("1", None))
    assert b'version="1"' not in metrics.render()
    assert metric("alias_info", alias="champion", version="2") == 1
    metrics.emit(tokenised("1"))
    assert metric("tokenised_texts_total", version="1") == 1, "a version that comes back counts from 0"


def test_the_rates_of_a_version_s_precisions_are_shown_until_it_is_forgotten(metrics: Metrics) -> None:
    """They explain which one serves."""
    name = "toxic_inference_model_tokens_per_second"
    metrics.emit(VersionAvailable("1", make_contract(), "fake", rates={"float32": 1_000.0, "int8": 0.0}))
    for precision, rate in (("float32", 1_000.0), ("int8", 0.0)):
        assert metrics.registry.get_sample_value(name, {"version": "1", "precision": precision}) == rate
    metrics.emit(StateChanged("1", None))
    assert metrics.registry.get_sample_value(name, {"version": "1", "precision": "int8"}) is None


def test_the_standing_of_the_review_is_shown(metrics: Metrics, metric: Metric) -> None:
    """Every reason is there from the start; a kappa that is undefined, or gone, has no series."""
    reasons = list(events.ReviewReason)
    assert [metric("review_open_texts", reason=reason) for reason in reasons] == [0, 0, 0]
    first = datetime(2026, 1, 1, tzinfo=UTC)
    agreed = {"toxic": Agreement(10, 0.8, 0.4), "threat": Agreement(10, 1.0, None)}
    standing = ReviewStanding(dict.fromkeys(reasons, 3), first, agreed)
    metrics.emit(ReviewRead(standing, at=first.timestamp() + 60))
    assert [metric("review_open_texts", reason=reason) for reason in reasons] == [3, 3, 3]
    assert metric("review_oldest_seconds") == 60
    assert metric("review_judged_twice_texts", label="threat") == 10
    assert metric("review_agreement_kappa", label="toxic") == 0.4
    assert metric("review_agreement_kappa", label="threat") is None
    metrics.emit(ReviewRead(ReviewStanding(dict.fromkeys(reasons, 0), None, {}), at=0))
    assert metric("review_oldest_seconds") == 0
    assert metric("review_agreement_kappa", label="toxic") is None
