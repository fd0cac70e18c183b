"""Nothing phones home.

People run this because their comments must not leave their machines, so the usage statistics that Kedro,
MLflow, Ray and ONNX Runtime send by default are off. Images, the Makefile and every `__main__` set the same
variables; a test holds them against this table.
"""

import os

TELEMETRY_OFF: dict[str, str] = {
    "DO_NOT_TRACK": "1",
    "DISABLE_TELEMETRY": "1",
    "KEDRO_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "ORT_DISABLE_TELEMETRY": "1",
}


def disable_telemetry() -> None:
    """Set every variable of `TELEMETRY_OFF`; call before the libraries are imported."""
    os.environ.update(TELEMETRY_OFF)
