"""`python -m toxic_training …` is `kedro …` inside this project, from any folder.

Owns what must happen before Kedro starts: telemetry off, paths made absolute, TensorFlow quiet; and what a
user sees when a run fails for a reason this project knows: one clear line, exit status 1.
"""

import importlib
import os
import sys
import tempfile
import warnings
from pathlib import Path

from toxic_core.telemetry import disable_telemetry
from toxic_training.kedro_project.stopping import stopped_by_signals

PROJECT = Path(__file__).resolve().parents[2]
"""The Kedro project: the folder that holds `conf/` and `pyproject.toml`."""


def main() -> None:
    """Run Kedro's command line in the project's folder."""
    prepare()
    # Imported late: Kedro's plugins read the environment when they are imported.
    from kedro.framework.cli.cli import main as kedro  # noqa: PLC0415

    from toxic_training.kedro_project.failures import explain  # noqa: PLC0415

    try:
        with stopped_by_signals():
            kedro()
    except Exception as error:
        explanation = explain(error)
        if explanation is None:
            raise
        sys.exit(f"error: {explanation}")


def prepare() -> None:
    """Make this process ready for Kedro."""
    disable_telemetry()
    # kedro and kedro-mlflow call a function that omegaconf has renamed.
    warnings.filterwarnings("ignore", message="register_new_resolver", category=UserWarning)
    # kedro-mlflow's own model class, as soon as it is imported.
    warnings.filterwarnings(
        "ignore", message=".*Add type hints to the `predict` method", category=UserWarning
    )
    _prepare_environment()
    if sys.argv[1:2] != ["server"]:  # which starts runs, but has none in itself
        _import_tensorflow()
    os.chdir(PROJECT)


def _prepare_environment() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("KEDRO_LOGGING_CONFIG", str(PROJECT / "conf" / "logging.yml"))
    for folder in ("TOXIC_DATA_DIR", "TRAINING_STATE_DIR"):
        if chosen := os.environ.get(folder):
            os.environ[folder] = str(Path(chosen).expanduser().resolve())


def _import_tensorflow() -> None:
    """Import TensorFlow, and hold back what its C++ side says about the machine unless the import fails.

    No setting silences it: it is printed before TensorFlow's logging is set up.
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


if __name__ == "__main__":
    main()
