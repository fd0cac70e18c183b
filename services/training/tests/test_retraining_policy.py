from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from toxic_training.retraining.alerts import Alert
from toxic_training.retraining.policy import Decision, Episode, Limits, Outcome, Refusal, Start, decide

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
LIMITS = Limits(cool_down=6 * HOUR, daily_runs=2, dry_run=False)
DRIFT = Alert(
    status="firing",
    labels={"alertname": "ScoreDrift", "action": "retrain"},
    annotations={"summary": "Scores moved."},
    since=NOW - HOUR,
    fingerprint="a1",
)
QUALITY = DRIFT.model_copy(update={"fingerprint": "b2"})
SILENT = DRIFT.model_copy(update={"labels": {"alertname": "ScoreDrift"}, "fingerprint": "c3"})


def _start(hours_ago: float, *alerts: Alert, outcome: Outcome = Outcome.SUCCEEDED) -> Start:
    return Start(f"run-{hours_ago}", NOW - hours_ago * HOUR, tuple(Episode.of(a) for a in alerts), outcome)


def _decide(*alerts: Alert, starts: tuple[Start, ...] = (), limits: Limits = LIMITS) -> Decision:
    return decide(alerts, starts=starts, limits=limits, now=NOW)


def test_a_first_alert_gets_a_run() -> None:
    """One run handles every alert of the notification that asks for one."""
    decision = _decide(DRIFT, QUALITY, SILENT)
    assert decision.refusal is None
    assert decision.alerts == (DRIFT, QUALITY)


@pytest.mark.parametrize(
    ("alert", "starts", "refusal"),
    [
        pytest.param(SILENT, (), Refusal.NOT_ASKED, id="a rule that doesn't ask"),
        pytest.param(DRIFT.model_copy(update={"status": "resolved"}), (), Refusal.RESOLVED, id="resolved"),
        pytest.param(DRIFT, (_start(20, DRIFT),), Refusal.DUPLICATE, id="handled long ago, firing since"),
        pytest.param(
            DRIFT,
            (_start(20, DRIFT, outcome=Outcome.UNDER_WAY),),
            Refusal.DUPLICATE,
            id="its run is under way",
        ),
        pytest.param(DRIFT, (_start(5.9, QUALITY),), Refusal.COOL_DOWN, id="another alert's run"),
        pytest.param(
            DRIFT, (_start(1, DRIFT, outcome=Outcome.NOT_SUCCEEDED),), Refusal.COOL_DOWN, id="failed just now"
        ),
        pytest.param(DRIFT, (_start(23.9), _start(7)), Refusal.DAILY_CAP, id="two within a day"),
        pytest.param(DRIFT, (_start(24), _start(6)), None, id="limits that have just passed"),
        pytest.param(DRIFT, (_start(7, DRIFT, outcome=Outcome.NOT_SUCCEEDED),), None, id="its run failed"),
        pytest.param(
            DRIFT.model_copy(update={"since": NOW}),
            (_start(7, DRIFT),),
            None,
            id="it has ended and fires again",
        ),
    ],
)
def test_each_limit_has_its_reason(alert: Alert, starts: tuple[Start, ...], refusal: Refusal | None) -> None:
    """The decision depends on the alert and on earlier starts."""
    assert _decide(alert, starts=starts).refusal is refusal


def test_a_handled_alert_does_not_hide_a_fresh_one() -> None:
    """Of a group in one notification, the run is for the alert that had none."""
    decision = _decide(DRIFT, QUALITY, starts=(_start(7, DRIFT),))
    assert decision.refusal is None
    assert decision.alerts == (QUALITY,)


def test_a_dry_run_keeps_to_the_limits() -> None:
    """The limits apply before the dry run."""
    dry = replace(LIMITS, dry_run=True)
    assert _decide(DRIFT, limits=dry).refusal is Refusal.DRY_RUN
    assert _decide(DRIFT, limits=dry, starts=(_start(1),)).refusal is Refusal.COOL_DOWN


def test_a_cap_of_none_starts_none() -> None:
    """Zero runs per day disable retraining."""
    assert _decide(DRIFT, limits=replace(LIMITS, daily_runs=0)).refusal is Refusal.DAILY_CAP


def test_a_refusal_names_the_end_of_the_cool_down() -> None:
    """It is a readable time."""
    assert "until 2026-11-23 17:00:00 UTC" in _decide(DRIFT, starts=(_start(1),)).message
