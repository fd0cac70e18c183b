"""Runs as child processes: a crash, a leak or a full GPU ends with the run, and not with the server.

Invariant: no run outlives the server, since its standard input is a pipe that closes when the server goes,
however that came; and none is left RUNNING in MLflow, however it ended.
"""

import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path

import structlog

from toxic_training.server.report import REPORT_VARIABLE, RunReport, read_report
from toxic_training.server.settings import tracking_uri

_log = structlog.get_logger(__name__)

_TOLD_MLFLOW = frozenset({0, 1})
"""Exit statuses of a run that has closed its MLflow run itself."""


class ChildRun:
    """Implements `RunProcess` on a child process."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path, *, grace_seconds: float) -> None:
        self._process = process
        self._folder = folder
        self._grace_seconds = grace_seconds
        self._report = RunReport()
        self._loop = asyncio.get_running_loop()
        self._kill: asyncio.TimerHandle | None = None

    def report(self) -> RunReport:
        """Return what the run said last."""
        if self._folder.exists():
            self._report = read_report(self._folder / "report.json")
        return self._report

    async def wait(self) -> int:
        """Wait for the end; return the exit status."""
        status = await self._process.wait()
        if self._kill is not None:
            self._kill.cancel()
        run_id = self.report().mlflow_run_id
        shutil.rmtree(self._folder, ignore_errors=True)
        if status not in _TOLD_MLFLOW and run_id is not None:
            await asyncio.to_thread(_end_mlflow_run, run_id)
        return status

    def stop(self) -> None:
        """Send SIGTERM, and SIGKILL after the grace."""
        if self._process.returncode is None and self._kill is None:
            self._process.terminate()
            self._kill = self._loop.call_later(self._grace_seconds, self._process.kill)


class ChildLauncher:
    """Implements `Launcher` with `toxic_training.server.child`.

    Args:
        env: Kedro's configuration environment; None for the default.
        grace_seconds: between SIGTERM and SIGKILL.
    """

    def __init__(self, *, env: str | None, grace_seconds: float) -> None:
        self._env = env
        self._grace_seconds = grace_seconds

    async def launch(self, request: str, *, run_id: str) -> ChildRun:
        """Start the child and hand it the request; its output goes where the server's goes."""
        folder = Path(tempfile.mkdtemp(prefix=f"run-{run_id}-"))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "toxic_training.server.child", self._env or ""),
            stdin=asyncio.subprocess.PIPE,
            env={**os.environ, REPORT_VARIABLE: str(folder / "report.json")},
            start_new_session=True,  # a terminal's Ctrl-C is for the server, which then stops the run
        )
        if process.stdin is None:
            raise RuntimeError("the child was started without a pipe")
        process.stdin.write(request.encode() + b"\n")
        return ChildRun(process, folder, grace_seconds=self._grace_seconds)


def _end_mlflow_run(run_id: str) -> None:
    """Mark a run KILLED that had no time to do so itself."""
    from mlflow import MlflowClient, MlflowException  # noqa: PLC0415 - seconds, which only this needs

    try:
        client = MlflowClient(tracking_uri())
        if client.get_run(run_id).info.status == "RUNNING":
            client.set_terminated(run_id, status="KILLED")
    except MlflowException as error:
        _log.warning("run.not_marked_killed", mlflow_run_id=run_id, reason=str(error))
