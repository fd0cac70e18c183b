"""Whether alerts get a retraining: a pure function of the alerts, what happened before, and the limits.

Invariant: at most one start within a cool-down, at most so many within any 24 hours, and none for an episode
of an alert that a run has served already.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from toxic_training.retraining.alerts import Alert

DAY = timedelta(hours=24)


class Outcome(StrEnum):
    """What became of a retraining run."""

    UNDER_WAY = "under_way"
    SUCCEEDED = "succeeded"
    NOT_SUCCEEDED = "not_succeeded"


class Refusal(StrEnum):
    """Why alerts get no retraining."""

    NOT_ASKED = "not_asked"
    RESOLVED = "resolved"
    DUPLICATE = "duplicate"
    COOL_DOWN = "cool_down"
    DAILY_CAP = "daily_cap"
    RUN_IN_PROGRESS = "run_in_progress"
    DRY_RUN = "dry_run"


@dataclass(frozen=True, slots=True)
class Episode:
    """One time that an alert fired.

    Attributes:
        fingerprint: the alert's.
        since: when it began to.
    """

    fingerprint: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Start:
    """A retraining run that was started.

    Attributes:
        run_id: the server's id of the run.
        at: when it was started.
        episodes: the alerts that it was to serve.
        outcome: what became of it.
    """

    run_id: str
    at: datetime
    episodes: tuple[Episode, ...]
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Limits:
    """What an operator allows.

    Attributes:
        cool_down: shortest time from one start to the next.
        daily_runs: most starts within any 24 hours.
        dry_run: whether what would start is only logged.
    """

    cool_down: timedelta
    daily_runs: int
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done.

    Attributes:
        refusal: why nothing is; None to start a run.
        alerts: those that the decision is about.
        message: the reason, for people.
    """

    refusal: Refusal | None
    alerts: tuple[Alert, ...]
    message: str


def decide(alerts: Sequence[Alert], *, starts: Sequence[Start], limits: Limits, now: datetime) -> Decision:
    """Decide about the alerts of one notification, which get one run together or none.

    A run that failed or was stopped served nobody: its alerts may have another after the cool-down.

    Args:
        alerts: what the notification holds.
        starts: what was started before, the newest last.
        limits: what an operator allows.
        now: the time.
    """
    asking = tuple(alert for alert in alerts if alert.asks)
    firing = tuple(alert for alert in asking if alert.is_firing)
    if not firing:
        return _without_request(alerts, asking)
    served = {e for start in starts if start.outcome is not Outcome.NOT_SUCCEEDED for e in start.episodes}
    fresh = tuple(alert for alert in firing if episode_of(alert) not in served)
    if not fresh:
        return Decision(
            Refusal.DUPLICATE, firing, "A run was started for it already, since it began to fire."
        )
    if refused := _over_limit(fresh, starts=starts, limits=limits, now=now):
        return refused
    if limits.dry_run:
        return Decision(Refusal.DRY_RUN, fresh, "A run would start, but for TRAINING_RETRAIN_DRY_RUN.")
    return Decision(None, fresh, "A run starts.")


def episode_of(alert: Alert) -> Episode:
    """Return which episode of its rule an alert is."""
    return Episode(alert.fingerprint, alert.since)


def _without_request(alerts: Sequence[Alert], asking: tuple[Alert, ...]) -> Decision:
    if asking:
        return Decision(Refusal.RESOLVED, asking, "It fires no more.")
    return Decision(Refusal.NOT_ASKED, tuple(alerts), "No alert carries the label action: retrain.")


def _over_limit(
    fresh: tuple[Alert, ...], *, starts: Sequence[Start], limits: Limits, now: datetime
) -> Decision | None:
    lately = [start for start in starts if now - start.at < DAY]
    if starts and (until := starts[-1].at + limits.cool_down) > now:
        return Decision(Refusal.COOL_DOWN, fresh, f"The cool-down lasts until {until:%Y-%m-%d %H:%M:%S} UTC.")
    if len(lately) >= limits.daily_runs:
        return Decision(
            Refusal.DAILY_CAP,
            fresh,
            f"{len(lately)} runs were started within 24 hours; TRAINING_RETRAIN_DAILY_RUNS allows "
            f"{limits.daily_runs}.",
        )
    return None
