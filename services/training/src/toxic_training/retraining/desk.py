"""The desk that alerts come to: it decides, remembers, and asks the run desk for a run.

Belongs to one event loop. Invariant: notifications are decided one after another, so that two at once never
start two runs; and every decision is logged and told to the observer.
"""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from kedro.server.models import RunRequest

from toxic_training.retraining.alerts import Alert
from toxic_training.retraining.history import History
from toxic_training.retraining.policy import (
    Decision,
    Limits,
    Outcome,
    Refusal,
    Start,
    decide,
    episode_of,
)
from toxic_training.server.desk import Now, RunDesk, RunInProgressError, RunRecord, RunState, Trigger, utc_now
from toxic_training.server.report import CAUSE

_log = structlog.get_logger(__name__)

_DEFAULT_PIPELINES = ("__default__",)


class RetrainingObserver(Protocol):
    """Is told of every notification that starts nothing."""

    def retraining_refused(self, *, reason: Refusal) -> None:
        """Count it."""
        ...


@dataclass(frozen=True, slots=True)
class Retraining:
    """What a notification led to.

    Attributes:
        decision: what was decided, and why.
        run: the run that was started, if any.
    """

    decision: Decision
    run: RunRecord | None


class RetrainingDesk:
    """Takes notifications; a `RunObserver` of the runs that come of them.

    Args:
        runs: where runs are started.
        history: what was started before.
        limits: what an operator allows.
        request: what a retraining runs; its parameters are completed by the cause.
        observer: is told of refusals.
        now: the clock.
    """

    def __init__(
        self,
        runs: RunDesk,
        *,
        history: History,
        limits: Limits,
        request: RunRequest,
        observer: RetrainingObserver,
        now: Now = utc_now,
    ) -> None:
        self._runs = runs
        self._history = history
        self._limits = limits
        self._request = request
        self._observer = observer
        self._now = now
        self._one_at_a_time = asyncio.Lock()
        runs.observe(self)

    async def take(self, alerts: Sequence[Alert]) -> Retraining:
        """Decide about one notification's alerts, and start a run where they get one.

        Raises:
            OSError: the start can't be remembered, or the run not be started; nothing has been started.
        """
        async with self._one_at_a_time:
            decision = decide(alerts, starts=self._history.starts(), limits=self._limits, now=self._now())
            run = None
            if decision.refusal is None:
                try:
                    run = await self._start(decision.alerts)
                except RunInProgressError as error:
                    decision = Decision(Refusal.RUN_IN_PROGRESS, decision.alerts, str(error))
        self._tell(decision, run)
        return Retraining(decision, run)

    async def _start(self, alerts: Sequence[Alert]) -> RunRecord:
        run_id = uuid.uuid4().hex
        episodes = tuple(episode_of(alert) for alert in alerts)
        # Before the run: what can't be remembered is not started, or a restart would start it again.
        self._history.add(Start(run_id, self._now(), episodes, Outcome.UNDER_WAY))
        params = {**(self._request.params or {}), CAUSE: _cause(alerts)}
        try:
            return await self._runs.start(
                self._request.model_copy(update={"params": params}).model_dump_json(),
                pipelines=tuple(self._request.pipeline_names or _DEFAULT_PIPELINES),
                trigger=Trigger.ALERT,
                run_id=run_id,
            )
        except BaseException:
            self._history.forget(run_id)
            raise

    def _tell(self, decision: Decision, run: RunRecord | None) -> None:
        facts = {
            "alerts": [alert.name for alert in decision.alerts],
            "fingerprints": [alert.fingerprint for alert in decision.alerts],
        }
        if run is not None:
            _log.info("retraining.started", run_id=run.run_id, **facts)
        elif decision.refusal is not None:
            _log.info("retraining.refused", reason=decision.refusal.value, why=decision.message, **facts)
            self._observer.retraining_refused(reason=decision.refusal)

    # The run desk's observer

    def run_started(self, run: RunRecord) -> None:
        """Do nothing: a start is remembered before."""

    def run_ended(self, run: RunRecord) -> None:
        """Remember whether the alerts were served."""
        succeeded = run.state is RunState.SUCCEEDED
        outcome = Outcome.SUCCEEDED if succeeded else Outcome.NOT_SUCCEEDED
        try:
            self._history.ended(run.run_id, outcome=outcome)
        except OSError as error:
            _log.exception("retraining.not_remembered", run_id=run.run_id, error_type=type(error).__name__)


def _cause(alerts: Sequence[Alert]) -> dict[str, str]:
    return {
        "trigger": Trigger.ALERT.value,
        "alerts": ", ".join(sorted({alert.name for alert in alerts})),
        "fingerprints": ", ".join(alert.fingerprint for alert in alerts),
        "since": min(alert.since for alert in alerts).isoformat(),
        "summary": " ".join(alert.summary for alert in alerts),
    }
