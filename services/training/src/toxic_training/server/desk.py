"""The desk that runs are asked for at: one runs, the others are told to come back.

Owns the one slot for a run and what is remembered of the runs before. Belongs to one event loop.

Invariant: at most one run has not ended. A run that was taken ends as succeeded, failed or stopped, whatever
becomes of the client that asked for it.
"""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

import structlog

from toxic_core.errors import ToxicError
from toxic_training.server.report import RunReport

_log = structlog.get_logger(__name__)

Now = Callable[[], datetime]


class RunState(StrEnum):
    """What became of a run; the words of Kedro's server, and two more."""

    RUNNING = "running"
    SUCCEEDED = "success"
    FAILED = "failure"
    STOPPED = "stopped"


class Trigger(StrEnum):
    """What a run was started by."""

    REQUEST = "request"
    ALERT = "alert"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What is known of a run.

    Attributes:
        run_id: ours, not MLflow's.
        pipelines: what was asked for.
        trigger: what it was started by.
        state: where it stands.
        started_at: when it was taken.
        ended_at: when it ended.
        report: what the run itself said last.
    """

    run_id: str
    pipelines: tuple[str, ...]
    trigger: Trigger
    state: RunState
    started_at: datetime
    ended_at: datetime | None
    report: RunReport


class RunInProgressError(ToxicError):
    """Another run has the slot.

    Attributes:
        run: the one that has it.
    """

    def __init__(self, run: RunRecord) -> None:
        super().__init__(
            f"Run {run.run_id} of {', '.join(run.pipelines)} is under way since "
            f"{run.started_at:%Y-%m-%d %H:%M:%S} UTC. One runs at a time: look at /runs/{run.run_id}, and "
            "ask again when it has ended."
        )
        self.run = run


class UnknownRunError(ToxicError):
    """No run of that id, or one too long ago."""


class RunProcess(Protocol):
    """A run under way."""

    def report(self) -> RunReport:
        """Return what the run said last."""
        ...

    async def wait(self) -> int:
        """Wait for the end; return the exit status, negative or above 128 for a signal."""
        ...

    def stop(self) -> None:
        """Ask it to end, and see to it that it does."""
        ...


class Launcher(Protocol):
    """Starts runs."""

    async def launch(self, request: str, *, run_id: str) -> RunProcess:
        """Start what `request` (Kedro's `RunRequest` as JSON) asks for."""
        ...


class RunObserver(Protocol):
    """Is told of every run's start and end, on the desk's event loop."""

    def run_started(self, run: RunRecord) -> None:
        """Take note that a run was taken; whether its process comes up shows later."""
        ...

    def run_ended(self, run: RunRecord) -> None:
        """Take note that it ended."""
        ...


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


class RunDesk:
    """Takes, watches and remembers runs."""

    def __init__(self, launcher: Launcher, *, keep_runs: int, now: Now = utc_now) -> None:
        self._launcher = launcher
        self._keep_runs = keep_runs
        self._now = now
        self._observers: list[RunObserver] = []
        self._runs: dict[str, RunRecord] = {}
        self._current: str | None = None
        self._process: RunProcess | None = None
        self._watch: asyncio.Task[None] | None = None
        self._is_stopping = False

    def observe(self, observer: RunObserver) -> None:
        """Tell `observer` of every run from now on."""
        self._observers.append(observer)

    async def start(
        self,
        request: str,
        *,
        pipelines: tuple[str, ...],
        trigger: Trigger = Trigger.REQUEST,
        run_id: str | None = None,
    ) -> RunRecord:
        """Start a run and return at once.

        Args:
            request: Kedro's `RunRequest` as JSON.
            pipelines: those it names.
            trigger: what starts it.
            run_id: what to call it, where the caller has to know before; unique.

        Raises:
            RunInProgressError: another one hasn't ended.
        """
        if self._current is not None:
            raise RunInProgressError(self.get(self._current))
        record = RunRecord(
            run_id=run_id or uuid.uuid4().hex,
            pipelines=pipelines,
            trigger=trigger,
            state=RunState.RUNNING,
            started_at=self._now(),
            ended_at=None,
            report=RunReport(),
        )
        # The slot is taken before anything is awaited.
        self._current, self._is_stopping = record.run_id, False
        self._remember(record)
        for observer in self._observers:
            observer.run_started(record)
        try:
            self._process = await self._launcher.launch(request, run_id=record.run_id)
        except BaseException:
            self._end(RunState.FAILED)
            raise
        _log.info("run.started", run_id=record.run_id, pipelines=pipelines, trigger=trigger.value)
        if self._is_stopping:  # asked for while it was being started
            self._process.stop()
        self._watch = asyncio.create_task(self._until_end(self._process))
        return self.get(record.run_id)

    async def wait(self, run_id: str) -> RunRecord:
        """Wait until a run has ended, without stopping it where the one who waits goes away."""
        if run_id == self._current and self._watch is not None:
            await asyncio.shield(self._watch)
        return self.get(run_id)

    def get(self, run_id: str) -> RunRecord:
        """Return a run as it stands now.

        Raises:
            UnknownRunError: it isn't remembered.
        """
        if run_id not in self._runs:
            raise UnknownRunError(f"There is no run {run_id}; GET /runs lists those that are remembered.")
        record = self._runs[run_id]
        if run_id == self._current and self._process is not None:
            return replace(record, report=self._process.report())
        return record

    def all(self) -> list[RunRecord]:
        """Return the runs that are remembered, the newest first."""
        return [self.get(run_id) for run_id in reversed(self._runs)]

    def stop(self, run_id: str) -> RunRecord:
        """Ask a run to end; one that has ended stays as it is."""
        record = self.get(run_id)
        if run_id == self._current:
            self.stop_current()
        return record

    def stop_current(self) -> None:
        """Ask the run under way, if any, to end. May be called from a signal handler."""
        self._is_stopping = True
        if self._process is not None:
            self._process.stop()

    async def close(self) -> None:
        """Stop the run under way and wait for its end."""
        self.stop_current()
        if self._watch is not None:
            await self._watch

    async def _until_end(self, process: RunProcess) -> None:
        status = await process.wait()
        if status == 0:
            self._end(RunState.SUCCEEDED, process.report())
        elif self._is_stopping:
            self._end(RunState.STOPPED, process.report())
        else:
            self._end(RunState.FAILED, _explained(process.report(), status))

    def _end(self, state: RunState, report: RunReport | None = None) -> None:
        run_id = str(self._current)
        record = self._runs[run_id]
        ended = replace(record, state=state, ended_at=self._now(), report=report or record.report)
        self._runs[run_id] = ended
        self._current = self._process = self._watch = None
        _log.info("run.ended", run_id=run_id, state=state.value, error_type=ended.report.error_type)
        for observer in self._observers:
            observer.run_ended(ended)

    def _remember(self, record: RunRecord) -> None:
        self._runs[record.run_id] = record
        for run_id in list(self._runs)[: -self._keep_runs]:
            del self._runs[run_id]


def _explained(report: RunReport, status: int) -> RunReport:
    """Say what can be said of a process that ended without a word."""
    if report.error is not None:
        return report
    error = f"The run's process ended with status {status}; its output in the server's log says more."
    return report.model_copy(update={"error_type": "ProcessEnded", "error": error})
