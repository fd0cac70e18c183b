"""Ends a run on a signal, and marks it KILLED in MLflow.

Invariant: a run that was stopped is never left RUNNING, nor marked FINISHED.
"""

import gc
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
SIGNALLED = 128
"""Offset of a signal's number in the exit status, by the shell's convention."""


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Let a signal end the block with `SystemExit`, and mark the active MLflow run KILLED.

    `SystemExit`, because libraries catch ordinary exceptions and retry. A second signal ends the process at
    once.
    """

    def stop(signum: int, _frame: FrameType | None) -> NoReturn:
        for each in STOP_SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        raise SystemExit(SIGNALLED + signum)

    before = {signum: signal.signal(signum, stop) for signum in STOP_SIGNALS}
    try:
        yield
    except SystemExit as stopped:
        if isinstance(stopped.code, int) and stopped.code - SIGNALLED in STOP_SIGNALS:
            # A write that the signal interrupted holds SQLite's lock while its frames refer to it.
            traceback.clear_frames(stopped.__traceback__)
            gc.collect()
            _mark_killed()
        raise
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _mark_killed() -> None:
    """Mark the active MLflow run KILLED, and print whether that succeeded."""
    mlflow = sys.modules.get("mlflow")  # if it isn't imported, there is no run
    run = mlflow.active_run() if mlflow else None
    if mlflow is None or run is None:
        return
    # The registry may be stopping too; don't retry for minutes.
    os.environ |= {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
    try:
        # kedro-mlflow starts the run again at each node; MLflow marks those left open FINISHED at exit.
        while mlflow.active_run() is not None:
            mlflow.end_run(status="KILLED")
    except mlflow.exceptions.MlflowException as error:
        sys.stderr.write(f"Stopped; the MLflow run {run.info.run_id} couldn't be marked KILLED: {error}\n")
    else:
        sys.stderr.write(f"Stopped; the MLflow run {run.info.run_id} is marked KILLED.\n")
