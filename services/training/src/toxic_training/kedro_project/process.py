"""Prepares a process for Kedro: telemetry off, absolute paths, a quiet TensorFlow.

This module imports neither Kedro nor its plugins, which read the environment when they are imported.
"""

import importlib
import os
import sys
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

from toxic_core.errors import ConfigurationError
from toxic_core.telemetry import disable_telemetry
from toxic_training.paths import from_start, remember_start

_CHECKOUT = Path(__file__).resolve().parents[3]
_INSTALLED = Path(__file__).resolve().parents[1] / "project"

PROJECT = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT
"""The Kedro project: the folder with `conf/` and `pyproject.toml`; a wheel has it in the package."""

_PATHS = (
    "TOXIC_DATA_DIR",
    "TOXIC_DEMO_DIR",
    "TOXIC_SAMPLE_DIR",
    "TOXIC_BASELINE_DIR",
    "TOXIC_SIGNING_KEY_FILE",
    "TRAINING_STATE_DIR",
)
"""Environment variables with a path."""


def prepare() -> None:
    """Set the environment, silence known warnings and enter the project's folder."""
    disable_telemetry()
    remember_start()
    # kedro and kedro-mlflow call a function that omegaconf has renamed.
    warnings.filterwarnings("ignore", message="register_new_resolver", category=UserWarning)
    # kedro-mlflow's own model class raises this as soon as it is imported.
    warnings.filterwarnings(
        "ignore", message=".*Add type hints to the `predict` method", category=UserWarning
    )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("KEDRO_LOGGING_CONFIG", str(PROJECT / "conf" / "logging.yml"))
    if PROJECT == _INSTALLED:
        from toxic_model.offline.model import shipped_bundle  # noqa: PLC0415  only a wheel needs it

        # Data goes below the current folder, and what comes with the packages is there.
        os.environ.setdefault("TOXIC_DATA_DIR", "data")
        os.environ.setdefault("TRAINING_STATE_DIR", "var/training")
        os.environ.setdefault("TOXIC_DEMO_DIR", "var/demo/data")
        os.environ.setdefault("TOXIC_SAMPLE_DIR", str(PROJECT / "sample"))
        with suppress(ConfigurationError):  # the extra `weights` isn't installed, and not every run needs it
            os.environ.setdefault("TOXIC_BASELINE_DIR", str(shipped_bundle()))
    for variable in _PATHS:
        if chosen := os.environ.get(variable):
            os.environ[variable] = str(from_start(chosen))
    scheme, separator, file = os.environ.get("TRAINING_FEEDBACK_URL", "").partition(":///")
    if scheme == "sqlite":
        os.environ["TRAINING_FEEDBACK_URL"] = f"{scheme}{separator}{from_start(file)}"
    if sys.argv[1:2] != ["server"]:  # the server starts runs in child processes and needs no TensorFlow
        _import_tensorflow_quietly()
    os.chdir(PROJECT)


def _import_tensorflow_quietly() -> None:
    """Import TensorFlow and hold back stderr unless the import fails.

    No setting silences what TensorFlow's C++ code prints before its logging is set up.
    """
    stderr = os.dup(sys.stderr.fileno())
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), sys.stderr.fileno())
        try:
            importlib.import_module("tensorflow")
        except ImportError:
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            os.dup2(stderr, sys.stderr.fileno())
            os.close(stderr)
