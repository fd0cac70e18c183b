import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from structlog.testing import capture_logs

from toxic_training.kedro_project.run_report import RunReport, write_report
from toxic_training.server.launcher import ChildRun, launch_child, log_lines

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

DEAF = """
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('deaf', flush=True)
sys.stdin.read()
"""


LOUD = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
print('loud', flush=True)
sys.stdin.read()
"""
"""What TensorFlow makes of a stopped run, at times: an error like any other."""


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio."""
    return "asyncio"


@pytest.mark.parametrize(("program", "state", "status"), [(DEAF, "RUNNING", -9), (LOUD, "FAILED", 1)])
async def test_a_stopped_run_is_marked_killed_however_it_ended(
    program: str, state: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that ignores the signal is killed after the grace period; the run's folder is removed."""
    address = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    client = MlflowClient(address)
    mlflow_run = client.create_run("0").info.run_id
    client.update_run(mlflow_run, status=state)
    folder = tmp_path / "run"
    folder.mkdir()
    write_report(folder / "report.json", RunReport(experiment_id="0", mlflow_run_id=mlflow_run))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    run = ChildRun(process, folder, grace_seconds=0.1 if program is DEAF else 30)
    run.stop()
    assert await run.wait() == status
    assert run.report().mlflow_run_id == mlflow_run
    assert client.get_run(mlflow_run).info.status == "KILLED"
    assert not folder.exists()


async def test_a_run_that_can_t_be_started_leaves_no_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each attempt would leave another one."""
    monkeypatch.setattr("sys.executable", str(tmp_path / "no-python"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(FileNotFoundError):
        await launch_child("{}", "a1", env=None, grace_seconds=1)
    assert not os.listdir(tmp_path)  # noqa: PTH208  an asynchronous function may not use a Path


async def test_each_line_of_a_run_is_a_record_of_the_log() -> None:
    """Also the last one without an end; one that is too long is left out."""
    stream = asyncio.StreamReader(limit=50)
    stream.feed_data(b"12:00:00 INFO [1/9] clean: ...\n\n" + b"x" * 200 + b"\nlast \xff")
    stream.feed_eof()
    with capture_logs() as logs:
        await log_lines(stream, "a1")
    assert [log["line"] for log in logs] == ["12:00:00 INFO [1/9] clean: ...", "last \ufffd"]
    assert {(log["event"], log["run_id"]) for log in logs} == {("run.output", "a1")}


async def test_a_run_ends_although_a_process_of_its_own_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """That process keeps the output open; the run's last lines are logged."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nread request\nsleep 60 &\necho $! $request\nexit 3\n")
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    monkeypatch.setattr("toxic_training.server.launcher._OUTPUT_SECONDS", 0.2)
    with capture_logs() as logs:
        run = await launch_child("{}", "a1", env=None, grace_seconds=1)
        assert await asyncio.wait_for(run.wait(), timeout=20) == 3
    (line,) = [log["line"] for log in logs if log["event"] == "run.output"]
    left, request = line.split()
    assert request == "{}"
    os.kill(int(left), signal.SIGKILL)
