"""Builds the server's objects and connects their events."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from kedro.server.models import RunRequest

from toxic_training.kedro_project.run_report import CAUSE
from toxic_training.retraining.history import History
from toxic_training.retraining.trigger import Cause, RetrainingTrigger
from toxic_training.server.metrics import Metrics
from toxic_training.server.runs import Launch, RunManager, RunRecord, RunState, Trigger
from toxic_training.server.settings import Settings

DEFAULT_PIPELINE = "__default__"


@dataclass(frozen=True, slots=True)
class Parts:
    """One server's objects: the run manager, the trigger of retrainings, and the metrics of both."""

    runs: RunManager
    retraining: RetrainingTrigger
    metrics: Metrics


def compose(
    settings: Settings,
    launch: Launch,
    *,
    has_data: Callable[[], bool],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Parts:
    """Build the objects of one server, or raise ConfigurationError if the history can't be read.

    Args:
        settings: of the server.
        launch: starts a run.
        has_data: whether alerts may start runs: there are tables to train on.
        now: the time.
    """
    metrics = Metrics()

    def emit(run: RunRecord) -> None:
        metrics.record(run)
        if run.state is not RunState.RUNNING:
            retraining.run_ended(run.run_id, succeeded=run.state is RunState.SUCCEEDED)

    async def start_run(run_id: str, cause: Cause) -> None:
        request = settings.retrain_request
        params = {**(request.params or {}), CAUSE: dict(cause)}
        await runs.start(
            request.model_copy(update={"params": params}).model_dump_json(),
            pipelines=pipelines_of(request),
            trigger=Trigger.ALERT,
            run_id=run_id,
        )

    runs = RunManager(launch, keep_runs=settings.keep_runs, emit=emit, now=now)
    retraining = RetrainingTrigger(
        start_run=start_run,
        has_data=has_data,
        history=History(settings.state_dir / "retrainings.json"),
        limits=settings.limits,
        emit=metrics.record,
        now=now,
    )
    return Parts(runs, retraining, metrics)


def pipelines_of(request: RunRequest) -> tuple[str, ...]:
    """Return the pipelines that a request names, or the default one."""
    return tuple(request.pipeline_names or [DEFAULT_PIPELINE])
