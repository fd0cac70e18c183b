"""Runs as child processes: a crash, a memory leak or a full GPU ends the run, not the server.

Invariant: no run outlives the server, because its standard input is a pipe that closes when the server ends;
and no run stays RUNNING in MLflow, however it ended.
"""

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Container
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from toxic_training.kedro_project.run_report import REPORT_VARIABLE, RunReport, read_report
from toxic_training.server.settings import tracking_uri

_log = structlog.get_logger(__name__)

_MAX_LINE_BYTES = 1024 * 1024
_OUTPUT_SECONDS = 5.0
"""Time for the last lines of a run that has ended; a process that it left may keep the pipe open."""

_CLOSED_BY_RUN = frozenset({0, 1})
"""Exit statuses of a run that has closed its MLflow run itself."""


@dataclass(slots=True)
class ChildRun:
    """Implements `RunProcess` with a child process."""

    process: asyncio.subprocess.Process
    folder: Path
    grace_seconds: float
    output: asyncio.Task[None] | None = None
    _report: RunReport = field(init=False, default_factory=RunReport)
    _loop: asyncio.AbstractEventLoop = field(init=False, default_factory=asyncio.get_running_loop)
    _kill: asyncio.TimerHandle | None = field(init=False, default=None)

    def report(self) -> RunReport:
        """Return the run's latest report."""
        if self.folder.exists():
            self._report = read_report(self.folder / "report.json")
        return self._report

    async def wait(self) -> int:
        """Wait for the end; return the exit status."""
        status = await self.process.wait()
        if self.output is not None:
            await asyncio.wait({self.output}, timeout=_OUTPUT_SECONDS)
            self.output.cancel()
        open_states = {"RUNNING"}
        if self._kill is not None:
            self._kill.cancel()
            # TensorFlow may turn the exception that stops a run into an error of its own.
            open_states.add("FAILED")
        run_id = self.report().mlflow_run_id
        shutil.rmtree(self.folder, ignore_errors=True)
        if run_id is not None and (status not in _CLOSED_BY_RUN or self._kill is not None):
            await asyncio.to_thread(_mark_killed, run_id, open_states)
        return status

    def stop(self) -> None:
        """Send SIGTERM, and SIGKILL after the grace period."""
        if self.process.returncode is None and self._kill is None:
            self.process.terminate()
            self._kill = self._loop.call_later(self.grace_seconds, self.process.kill)


async def launch_child(request: str, run_id: str, *, env: str | None, grace_seconds: float) -> ChildRun:
    """Start a child and send it the request, Kedro's `RunRequest` as JSON; log each line that it prints.

    A stopped child gets SIGTERM, and SIGKILL after `grace_seconds`.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"run-{run_id}-"))
    # A pipe of our own: with asyncio's, Process.wait() waits until no process has the pipe open.
    reading, writing = os.pipe()
    stream = asyncio.StreamReader(limit=_MAX_LINE_BYTES)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(reading, "rb")
    )
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "toxic_training.server.child", env or ""),
            stdin=asyncio.subprocess.PIPE,
            stdout=writing,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, REPORT_VARIABLE: str(folder / "report.json")},
            start_new_session=True,  # a terminal's Ctrl-C goes to the server, which then stops the run
        )
    except BaseException:
        transport.close()
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        os.close(writing)
    if process.stdin is None:
        raise RuntimeError("the child was started without a pipe")
    process.stdin.write(request.encode() + b"\n")
    output = asyncio.create_task(log_lines(stream, run_id))
    output.add_done_callback(lambda _: transport.close())
    return ChildRun(process, folder, grace_seconds=grace_seconds, output=output)


async def log_lines(stream: asyncio.StreamReader, run_id: str) -> None:
    """Log what a run prints, a line per record, so that the server's log is JSON throughout."""
    while True:
        try:
            line = await stream.readline()
        except ValueError:  # longer than the limit; asyncio has dropped what it read of it
            continue
        if not line:
            return
        if text := line.decode(errors="replace").rstrip():
            _log.info("run.output", run_id=run_id, line=text)


def _mark_killed(run_id: str, open_states: Container[str]) -> None:
    """Mark an MLflow run KILLED if it is in one of `open_states`: its process had no time to do so."""
    from mlflow import MlflowClient, MlflowException  # noqa: PLC0415 - takes seconds, rarely needed

    try:
        client = MlflowClient(tracking_uri())
        if client.get_run(run_id).info.status in open_states:
            client.set_terminated(run_id, status="KILLED")
    except MlflowException as error:
        _log.warning("run.not_marked_killed", mlflow_run_id=run_id, reason=str(error))
