import os
import signal
import sqlite3
from pathlib import Path

import mlflow
import pytest

from toxic_testing.registry import copy_tables
from toxic_training.kedro_project.stopping import stopped_by_signals

pytestmark = pytest.mark.slow


def _write_and_stop(path: Path) -> None:
    """Get a signal while a transaction that isn't in a `with` statement has the database's lock."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.filterwarnings("ignore:unclosed database:pytest.PytestUnraisableExceptionWarning")
def test_a_run_that_is_stopped_while_it_writes_is_marked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The interrupted transaction ends first; SQLite refuses a write while another is in progress."""
    path = tmp_path / "mlflow.db"
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(copy_tables(path))
    try:
        run = mlflow.start_run()
        with pytest.raises(SystemExit), stopped_by_signals():
            _write_and_stop(path)
        assert f"the MLflow run {run.info.run_id} is marked KILLED" in capsys.readouterr().err
        assert mlflow.active_run() is None
        assert mlflow.get_run(run.info.run_id).info.status == "KILLED"
    finally:
        mlflow.set_tracking_uri(before)
