"""The run manager: one run at a time, further requests are refused.

Belongs to one event loop. Invariant: at most one run is under way, and every run that was accepted ends as
succeeded, failed or stopped, even if its client disconnects.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

import structlog

from toxic_core.errors import RunInProgressError, ToxicError
from toxic_training.kedro_project.run_report import RunReport

_log = structlog.get_logger(__name__)


class RunState(StrEnum):
    """A run's state; the values of Kedro's server, and two more."""

    RUNNING = "running"
    SUCCEEDED = "success"
    FAILED = "failure"
    STOPPED = "stopped"


class Trigger(StrEnum):
    """What started a run."""

    REQUEST = "request"
    ALERT = "alert"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What is known about a run: the server's id (not MLflow's), its request, state and latest report."""

    run_id: str
    pipelines: tuple[str, ...]
    trigger: Trigger
    started_at: datetime
    state: RunState = RunState.RUNNING
    ended_at: datetime | None = None
    report: RunReport = field(default_factory=RunReport)


class UnknownRunError(ToxicError):
    """No run has this id, or it is forgotten."""


class RunProcess(Protocol):
    """A run under way."""

    def report(self) -> RunReport:
        """Return the run's latest report."""

    async def wait(self) -> int:
        """Wait for the end; return the exit status, negative or above 128 for a signal."""

    def stop(self) -> None:
        """Ask the run to end, and make sure that it does."""


Launch = Callable[[str, str], Awaitable[RunProcess]]
"""Starts a run from a request (Kedro's `RunRequest` as JSON) and the run's id."""


@dataclass(slots=True)
class RunManager:
    """Starts, watches and remembers the latest `keep_runs` runs.

    `emit` receives each run twice: when it is accepted, before its process is started, and when it has ended.
    """

    launch: Launch
    keep_runs: int
    emit: Callable[[RunRecord], None]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _runs: dict[str, RunRecord] = field(init=False, default_factory=dict)
    _current: str | None = field(init=False, default=None)
    _process: RunProcess | None = field(init=False, default=None)
    _watch: asyncio.Task[None] | None = field(init=False, default=None)
    _is_stopping: bool = field(init=False, default=False)

    async def start(
        self,
        request: str,
        *,
        pipelines: tuple[str, ...],
        trigger: Trigger = Trigger.REQUEST,
        run_id: str | None = None,
    ) -> RunRecord:
        """Start a run and return at once, or raise RunInProgressError if another one is under way."""
        if self._current is not None:
            other = self._runs[self._current]
            raise RunInProgressError(
                f"Run {other.run_id} of {', '.join(other.pipelines)} is under way since "
                f"{other.started_at:%Y-%m-%d %H:%M:%S} UTC. One run at a time: see /runs/{other.run_id}, and "
                "try again when it has ended.",
                run_id=other.run_id,
            )
        record = RunRecord(run_id or uuid.uuid4().hex, pipelines, trigger, started_at=self.now())
        # The slot is taken before the first await.
        self._current, self._is_stopping = record.run_id, False
        self._runs[record.run_id] = record
        for forgotten in list(self._runs)[: -self.keep_runs]:
            del self._runs[forgotten]
        self.emit(record)
        try:
            self._process = await self.launch(request, record.run_id)
        except BaseException:
            self._end(RunState.FAILED, record.report)
            raise
        _log.info("run.started", run_id=record.run_id, pipelines=pipelines, trigger=trigger.value)
        if self._is_stopping:  # requested while the process was being started
            self._process.stop()
        self._watch = asyncio.create_task(self._until_end(self._process))
        return self.get(record.run_id)

    async def wait(self, run_id: str) -> RunRecord:
        """Wait until a run has ended. Cancelling this doesn't stop the run."""
        if run_id == self._current and self._watch is not None:
            await asyncio.shield(self._watch)
        return self.get(run_id)

    def get(self, run_id: str) -> RunRecord:
        """Return the current state of a run, or raise UnknownRunError."""
        if run_id not in self._runs:
            raise UnknownRunError(f"There is no run {run_id}; GET /runs lists the runs that are remembered.")
        record = self._runs[run_id]
        if run_id == self._current and self._process is not None:
            return replace(record, report=self._process.report())
        return record

    def all(self) -> list[RunRecord]:
        """Return the remembered runs, the newest first."""
        return [self.get(run_id) for run_id in reversed(self._runs)]

    def stop(self, run_id: str) -> RunRecord:
        """Ask a run to end. A run that has ended doesn't change."""
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
        report = process.report()
        state = RunState.STOPPED if self._is_stopping else RunState.FAILED
        if status == 0:
            state = RunState.SUCCEEDED
        elif state is RunState.FAILED and report.error is None:
            error = f"The run's process ended with exit status {status}; see its output in the server's log."
            report = report.model_copy(update={"error_type": "ProcessEnded", "error": error})
        self._end(state, report)

    def _end(self, state: RunState, report: RunReport) -> None:
        run_id = str(self._current)
        ended = replace(self._runs[run_id], state=state, ended_at=self.now(), report=report)
        self._runs[run_id] = ended
        self._current = self._process = self._watch = None
        _log.info("run.ended", run_id=run_id, state=state.value, error_type=report.error_type)
        self.emit(ended)
