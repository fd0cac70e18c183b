"""`toxic-batch …`, also as `python -m toxic_batch …`.

Owns what must happen before Ray is imported: telemetry off.
"""

import os

from toxic_core.telemetry import disable_telemetry


def main() -> None:
    """Run the command."""
    disable_telemetry()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # On a busy machine a node's agents take longer to start than the half minute that Ray allows.
    os.environ.setdefault("RAY_agent_register_timeout_ms", "300000")
    # What Ray will do with GPUs in a later version; ours are said by --worker-gpus.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Imported late: Ray and MLflow read the environment when they are imported.
    from toxic_batch.cli import run  # noqa: PLC0415

    run()


if __name__ == "__main__":
    main()
