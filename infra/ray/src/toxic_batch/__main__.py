"""`toxic-batch …`, also as `python -m toxic_batch …`.

It turns telemetry off before Ray is imported.
"""

import os
import sys

from toxic_batch import __version__
from toxic_core.telemetry import disable_telemetry


def main() -> None:
    """Run the command."""
    if sys.argv[1:] == ["--version"]:  # with a value, the option names a version of the model
        sys.stdout.write(f"toxic-batch {__version__}\n")
        return
    disable_telemetry()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # On a busy machine a node and its agents take longer to start than Ray allows.
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "300")
    os.environ.setdefault("RAY_agent_register_timeout_ms", "300000")
    # The default of a later Ray; --worker-gpus decides about GPUs here.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Imported late: Ray and MLflow read the environment when they are imported.
    from toxic_batch.cli import run  # noqa: PLC0415

    run()


if __name__ == "__main__":
    main()
