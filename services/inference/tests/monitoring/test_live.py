from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from toxic_core.contract import Contract
from toxic_core.labels import Label
from toxic_inference.corrections.record import FeedbackUnavailableError, Judged
from toxic_inference.corrections.review_store import ReviewStanding
from toxic_inference.monitoring.live import LiveQuality, LiveQualityRead, LiveWatch, live_quality
from toxic_testing.inference.fakes import EventLog, ManualClock

TOXIC = Label.TOXIC


def judged(said: str, score: float, *, version: str = "1", language: str | None = None) -> Judged:
    """Return a correction of the label `toxic`."""
    return Judged(version, language, {TOXIC: said == "yes"}, {TOXIC: score})


def test_the_auc_is_the_one_of_scikit_learn(contract: Contract) -> None:
    """With ties too."""
    rng = np.random.default_rng(5)
    truth = rng.random(300) < 0.4
    scores = np.round(np.clip(rng.normal(np.where(truth, 0.6, 0.4), 0.2), 0, 1), 1)
    rows = [judged("yes" if t else "no", float(s)) for t, s in zip(truth, scores, strict=True)]
    (found,) = live_quality(rows, {"1": contract}, at_least=10)
    assert found.auc == pytest.approx(roc_auc_score(truth, scores))
    assert found.precision == pytest.approx(truth[scores >= 0.5].mean())
    assert found.disagreement == pytest.approx((truth != (scores >= 0.5)).mean())
    assert (found.yes, found.no) == (truth.sum(), (~truth).sum())


def test_too_few_corrections_have_no_figures(contract: Contract) -> None:
    """They are counted; one kind alone has no AUC, however many there are."""
    few = list(live_quality([judged("yes", 0.9)] * 9, {"1": contract}, at_least=10))
    assert few == [LiveQuality("1", TOXIC, 9, 0, None, None, None)]
    (one_kind,) = live_quality([judged("yes", 0.9)] * 20, {"1": contract}, at_least=10)
    assert (one_kind.auc, one_kind.precision, one_kind.disagreement) == (None, 1.0, 0.0)


def test_a_language_is_decided_by_its_own_threshold(contract: Contract) -> None:
    """What is flagged in one language isn't in another."""
    stricter = contract.model_copy(
        update={"thresholds": contract.thresholds | {TOXIC: {"*": 0.5, "tr": 0.95}}}
    )
    rows = [judged("no", 0.9, language="tr"), judged("yes", 0.9, language="en")] * 5
    (found,) = live_quality(rows, {"1": stricter}, at_least=5)
    assert (found.precision, found.disagreement) == (1.0, 0.0)


def test_versions_that_aren_t_served_have_no_figures(contract: Contract) -> None:
    """Their thresholds aren't known."""
    assert not list(live_quality([judged("yes", 0.9, version="0")] * 20, {"1": contract}, at_least=1))


class Desk:
    """Keeps corrections, or doesn't answer."""

    def __init__(self) -> None:
        self.gone = False

    def judged(self, limit: int) -> Sequence[Judged]:
        """Return as many as are asked for."""
        if self.gone:
            raise FeedbackUnavailableError("The store is gone.")
        return [judged("yes", 0.9)] * limit


@pytest.mark.anyio
async def test_a_store_that_is_gone_leaves_the_figures_as_they_were(
    contract: Contract, clock: ManualClock, log: EventLog
) -> None:
    """And is asked again the next time."""
    desk = Desk()
    watch = LiveWatch(
        read_judged=desk.judged,
        read_review=lambda: ReviewStanding({}, None, {}),
        contracts=lambda: {"1": contract},
        clock=clock,
        time=lambda: 17.0,
        emit=log,
        interval_seconds=60,
        limit=30,
        at_least=20,
    )
    await watch.read()
    desk.gone = True
    await watch.read()
    assert len(log.events) == 2
    desk.gone = False
    await watch.read()
    reading = log.of(LiveQualityRead)[1]
    (figure,) = reading.figures
    assert (figure.yes, figure.precision, reading.at) == (30, 1.0, 17.0)
