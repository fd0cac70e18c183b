"""Decides whether alerts start a retraining: a pure function of alerts, earlier starts and limits.

Invariant: at most one start per cool-down, at most `daily_runs` starts per 24 hours, and no second start for
an episode of an alert that a run already handles.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from toxic_training.retraining.alerts import Alert

DAY = timedelta(hours=24)


class Outcome(StrEnum):
    """The outcome of a retraining run."""

    UNDER_WAY = "under_way"
    SUCCEEDED = "succeeded"
    NOT_SUCCEEDED = "not_succeeded"


class Refusal(StrEnum):
    """Why alerts start no retraining."""

    NOT_ASKED = "not_asked"
    RESOLVED = "resolved"
    DUPLICATE = "duplicate"
    COOL_DOWN = "cool_down"
    DAILY_CAP = "daily_cap"
    RUN_IN_PROGRESS = "run_in_progress"
    DRY_RUN = "dry_run"
    NO_DATA = "no_data"


@dataclass(frozen=True, slots=True)
class Episode:
    """One period during which an alert fires: its fingerprint and when it began."""

    fingerprint: str
    since: datetime

    @classmethod
    def of(cls, alert: Alert) -> "Episode":
        """Return the episode of an alert."""
        return cls(alert.fingerprint, alert.since)


@dataclass(frozen=True, slots=True)
class Start:
    """A retraining run that was started, with the alert episodes that it handles."""

    run_id: str
    at: datetime
    episodes: tuple[Episode, ...]
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Limits:
    """The minimum time between starts, the maximum starts per 24 hours, and whether to only log."""

    cool_down: timedelta
    daily_runs: int
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision about alerts: why no run starts, or None if one does, and a message for people."""

    refusal: Refusal | None
    alerts: tuple[Alert, ...]
    message: str


def decide(alerts: Sequence[Alert], *, starts: Sequence[Start], limits: Limits, now: datetime) -> Decision:
    """Decide about one notification. All its alerts share one run, or get none.

    After a run that failed or was stopped, its alerts may start another one once the cool-down is over.
    """
    asking = tuple(alert for alert in alerts if alert.requests_retraining)
    if not asking:
        return Decision(Refusal.NOT_ASKED, tuple(alerts), "No alert has the label action: retrain.")
    if not (firing := tuple(alert for alert in asking if alert.is_firing)):
        return Decision(Refusal.RESOLVED, asking, "The alert is resolved.")
    served = {e for start in starts if start.outcome is not Outcome.NOT_SUCCEEDED for e in start.episodes}
    fresh = tuple(alert for alert in firing if Episode.of(alert) not in served)
    if not fresh:
        return Decision(
            Refusal.DUPLICATE, firing, "A run was already started for this alert since it began to fire."
        )
    return _within_limits(fresh, starts=starts, limits=limits, now=now)


def _within_limits(
    fresh: tuple[Alert, ...], *, starts: Sequence[Start], limits: Limits, now: datetime
) -> Decision:
    if starts and (until := starts[-1].at + limits.cool_down) > now:
        return Decision(Refusal.COOL_DOWN, fresh, f"The cool-down lasts until {until:%Y-%m-%d %H:%M:%S} UTC.")
    recent = [start for start in starts if now - start.at < DAY]
    if len(recent) >= limits.daily_runs:
        message = (
            f"{len(recent)} runs were started within 24 hours; TRAINING_RETRAIN_DAILY_RUNS allows "
            f"{limits.daily_runs}."
        )
        return Decision(Refusal.DAILY_CAP, fresh, message)
    if limits.dry_run:
        return Decision(Refusal.DRY_RUN, fresh, "A run would start without TRAINING_RETRAIN_DRY_RUN.")
    return Decision(None, fresh, "A run starts.")
