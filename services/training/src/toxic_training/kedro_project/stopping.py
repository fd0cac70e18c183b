"""What a signal means to a run: it ends where it is, and says so in MLflow.

Invariant: a run that was stopped is never left RUNNING, nor taken for one that finished.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
SIGNALLED = 128
"""The shell's convention for an exit status, to which the signal is added."""


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Let a signal end the block as `SystemExit`, and mark the active MLflow run KILLED.

    Not as an exception of the common kind, which libraries catch and take for a failed attempt. A second
    signal ends the process at once.
    """
    before = {signum: signal.signal(signum, _stop) for signum in STOP_SIGNALS}
    try:
        yield
    except SystemExit as stopped:
        if isinstance(stopped.code, int) and stopped.code - SIGNALLED in STOP_SIGNALS:
            _mark_killed()
        raise
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _stop(signum: int, _frame: FrameType | None) -> NoReturn:
    for each in STOP_SIGNALS:
        signal.signal(each, signal.SIG_DFL)
    raise SystemExit(SIGNALLED + signum)


def _mark_killed() -> None:
    mlflow = sys.modules.get("mlflow")  # not imported: then there is no run
    run = mlflow.active_run() if mlflow else None
    if mlflow is None or run is None:
        return
    # Whoever stopped us may be stopping the registry too, and won't wait for minutes of retries.
    os.environ |= {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
    try:
        # kedro-mlflow starts the run anew at each node; whichever is left open, MLflow finishes at exit.
        while mlflow.active_run() is not None:
            mlflow.end_run(status="KILLED")
    except mlflow.exceptions.MlflowException as error:
        sys.stderr.write(f"Stopped; the MLflow run {run.info.run_id} couldn't be marked KILLED: {error}\n")
    else:
        sys.stderr.write(f"Stopped; the MLflow run {run.info.run_id} is marked KILLED.\n")
