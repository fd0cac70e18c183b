"""The processes of a training with several workers: started here, or by the launcher of a cluster.

Invariant: no process outlives the one that started it, and none waits for one that has failed.
"""

import json
import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import NoReturn

import keras

from toxic_core.errors import ConfigurationError, ToxicError
from toxic_training.modelling.classifier import write_keras
from toxic_training.modelling.workers import Workers

logger = logging.getLogger(__name__)

Fitted = tuple[keras.Model, dict[str, float]]
"""The trained classifier, and figures of the run."""

_CLASSIFIER = "classifier.keras"
_FIGURES = "figures.json"


class WorkerFailedError(ToxicError):
    """A process of a training ended early."""


def has_cluster() -> bool:
    """Return whether the variable TF_CONFIG lists the processes of a cluster."""
    return bool(json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster"))


def take_part(train: Callable[[Workers], object]) -> NoReturn:
    """Connect to the cluster in TF_CONFIG, run `train` and end the process; log an error.

    It ends at once, because TensorFlow's own end waits for processes that have failed.
    """
    status = 1
    try:
        workers = Workers.connect()
        train(workers)
        workers.mean(0.0)  # wait for the others, since a process that leaves early counts as failed
        status = 0
    except Exception:
        logger.exception("a training process failed")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def train_together(train: Callable[[Workers], Fitted], *, processes: int) -> Fitted:
    """Run `train` in this many local processes, or in one that joins the cluster; return the chief's result.

    They are processes of their own, because TensorFlow connects to others only before it computes anything.

    Raises:
        ConfigurationError: Keras's backend isn't TensorFlow.
        WorkerFailedError: a process ended early. The others were stopped; the checkpoint remains.
    """
    if keras.backend.backend() != "tensorflow":
        raise ConfigurationError("Several workers need KERAS_BACKEND=tensorflow; set modelling.workers to 1.")
    configs = [None] if has_cluster() else _local_cluster(processes)
    spawning = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as cleaning:
        started: dict[int, SpawnProcess] = {}
        for config in configs:
            process = spawning.Process(target=_work, args=(train, config, Path(folder)), daemon=True)
            process.start()
            cleaning.callback(process.kill)
            started[process.sentinel] = process
        while started:
            ended = wait(list(started))
            for process in [each for sentinel, each in started.items() if sentinel in ended]:
                process.join()
                del started[process.sentinel]
                if (status := process.exitcode) != 0:
                    raise WorkerFailedError(
                        f"A training process ended with status {status}; the log has the reason. Start again "
                        "to continue from the last checkpoint."
                    )
        classifier = keras.saving.load_model(Path(folder) / _CLASSIFIER, compile=False)
        return classifier, json.loads((Path(folder) / _FIGURES).read_text(encoding="utf-8"))


def _local_cluster(processes: int) -> list[str | None]:
    """Return each process's TF_CONFIG, with free ports of this machine."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(processes)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    cluster = {"worker": addresses}
    return [
        json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        for index in range(processes)
    ]


def _work(train: Callable[[Workers], Fitted], config: str | None, folder: Path) -> NoReturn:
    """Train as one of the processes; the chief writes the result into `folder`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the parent stops the others
    parent = multiprocessing.parent_process().sentinel  # type: ignore[union-attr]  # it has started this one

    def end_with_parent() -> None:
        wait([parent])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    logging.basicConfig(stream=sys.stdout, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("toxic_training").setLevel(logging.INFO)
    if config is not None:
        os.environ["TF_CONFIG"] = config

    def train_and_write(workers: Workers) -> None:
        classifier, figures = train(workers)
        if workers.is_chief:
            write_keras(classifier, folder / _CLASSIFIER)
            (folder / _FIGURES).write_text(json.dumps(figures), encoding="utf-8")

    take_part(train_and_write)
