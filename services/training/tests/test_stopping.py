import os
import signal
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from toxic_testing.registry import copy_tables

pytestmark = pytest.mark.slow

_STOPPED_WHILE_IT_WRITES = """
import os, signal, sqlite3, sys
import mlflow
from toxic_training.kedro_project.stopping import stopped_by_signals

def write(path):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    os.kill(os.getpid(), signal.SIGTERM)

try:
    with stopped_by_signals():
        print(mlflow.start_run().info.run_id)
        write(sys.argv[1])
finally:
    print(mlflow.active_run())
"""
"""Gets a signal while a transaction that isn't in a `with` statement has the database's lock.

It prints the run's id, and at the end the run that is still active.
"""


def test_a_run_that_is_stopped_while_it_writes_is_marked(tmp_path: Path) -> None:
    """The interrupted transaction ends first; SQLite refuses a write while another is in progress."""
    path = tmp_path / "mlflow.db"
    uri = copy_tables(path)
    stopped = subprocess.run(
        [sys.executable, "-c", _STOPPED_WHILE_IT_WRITES, str(path)],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"MLFLOW_TRACKING_URI": uri},
    )
    assert stopped.returncode == 128 + signal.SIGTERM, stopped.stderr
    run_id, active = stopped.stdout.split()
    assert active == "None"
    assert f"the MLflow run {run_id} is marked KILLED" in stopped.stderr
    assert mlflow.MlflowClient(uri).get_run(run_id).info.status == "KILLED"
