import asyncio
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from toxic_training.kedro_project.run_report import RunReport, write_report
from toxic_training.server.launcher import ChildRun

pytestmark = pytest.mark.anyio

DEAF = """
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('deaf', flush=True)
sys.stdin.read()
"""


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio."""
    return "asyncio"


async def test_a_run_that_ignores_the_signal_is_killed_and_marked_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the grace period the process is killed, MLflow's run is KILLED, and the folder is removed."""
    address = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    client = MlflowClient(address)
    mlflow_run = client.create_run("0").info.run_id
    folder = tmp_path / "run"
    folder.mkdir()
    write_report(folder / "report.json", RunReport(experiment_id="0", mlflow_run_id=mlflow_run))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", DEAF), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    run = ChildRun(process, folder, grace_seconds=0.1)
    run.stop()
    assert await run.wait() == -9
    assert run.report().mlflow_run_id == mlflow_run
    assert client.get_run(mlflow_run).info.status == "KILLED"
    assert not folder.exists()
