"""Takes Alertmanager's notifications: decides, remembers, and starts a run.

Belongs to one event loop. Invariant: notifications are decided one after another, so that two at once never
start two runs.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import structlog

from toxic_core.errors import RunInProgressError
from toxic_training.retraining.alerts import Alert
from toxic_training.retraining.history import History
from toxic_training.retraining.policy import Decision, Episode, Limits, Outcome, Refusal, Start, decide

_log = structlog.get_logger(__name__)

Cause = Mapping[str, str]
"""Why a run was started: facts by name, which become tags of its MLflow run."""

StartRun = Callable[[str, Cause], Awaitable[object]]
"""Starts a run of this id for this cause; raises RunInProgressError if another run is under way."""


@dataclass(frozen=True, slots=True)
class Retraining:
    """The decision about one notification, and the run that was started, if any."""

    decision: Decision
    run_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainingTrigger:
    """Starts retraining runs for alerts, within the limits; `emit` receives every refusal.

    Until `has_data` is true, no run starts: it would only fail, and alert again.
    """

    start_run: StartRun
    has_data: Callable[[], bool]
    history: History
    limits: Limits
    emit: Callable[[Refusal], None]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _lock: asyncio.Lock = field(init=False, default_factory=asyncio.Lock)

    async def take(self, alerts: Sequence[Alert]) -> Retraining:
        """Decide about one notification's alerts, and start a run if the decision allows it.

        Raises:
            OSError: the start can't be written to the history, or the run can't be started. No run is left.
        """
        async with self._lock:
            decision = decide(alerts, starts=self.history.starts(), limits=self.limits, now=self.now())
            run_id = None
            if decision.refusal is None and not self.has_data():
                message = "There are no training tables in 01_raw/ yet; data/README.md lists them."
                decision = replace(decision, refusal=Refusal.NO_DATA, message=message)
            if decision.refusal is None:
                try:
                    run_id = await self._start(decision.alerts)
                except RunInProgressError as error:
                    decision = replace(decision, refusal=Refusal.RUN_IN_PROGRESS, message=str(error))
        alerts = decision.alerts
        facts = {"alerts": [a.name for a in alerts], "fingerprints": [a.fingerprint for a in alerts]}
        if decision.refusal is None:
            _log.info("retraining.started", run_id=run_id, **facts)
        else:
            _log.info("retraining.refused", reason=decision.refusal.value, why=decision.message, **facts)
            self.emit(decision.refusal)
        return Retraining(decision, run_id)

    def run_ended(self, run_id: str, *, succeeded: bool) -> None:
        """Record the end of a run, which may have been started by somebody else."""
        try:
            self.history.ended(run_id, outcome=Outcome.SUCCEEDED if succeeded else Outcome.NOT_SUCCEEDED)
        except OSError as error:
            _log.exception("retraining.not_remembered", run_id=run_id, error_type=type(error).__name__)

    async def _start(self, alerts: Sequence[Alert]) -> str:
        run_id = uuid.uuid4().hex
        episodes = tuple(Episode.of(alert) for alert in alerts)
        # Before the run: a start that isn't on disk would be repeated after a restart.
        self.history.add(Start(run_id, self.now(), episodes, Outcome.UNDER_WAY))
        cause = {
            "trigger": "alert",
            "alerts": ", ".join(sorted({alert.name for alert in alerts})),
            "fingerprints": ", ".join(alert.fingerprint for alert in alerts),
            "since": min(alert.since for alert in alerts).isoformat(),
            "summary": " ".join(alert.summary for alert in alerts),
        }
        try:
            await self.start_run(run_id, cause)
        except BaseException:
            self.history.forget(run_id)
            raise
        return run_id
