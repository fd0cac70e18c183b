"""Turns off the telemetry of third-party libraries.

Kedro, MLflow, Ray, Hugging Face, ONNX Runtime and OpenVINO send usage statistics by default. Every `__main__`
calls `disable_telemetry`; the Makefile and the containers set the same variables.
"""

import os
import sys

TELEMETRY_OFF: dict[str, str] = {
    "DO_NOT_TRACK": "1",
    "DISABLE_TELEMETRY": "1",
    "KEDRO_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "ORT_DISABLE_TELEMETRY": "1",
}

_BLOCKED_MODULES = ("openvino.tools.ovc",)
"""Modules that report their own import, and that no code here needs.

OpenVINO's converter reports from a thread that forks, which can keep a process from ending.
"""


def disable_telemetry() -> None:
    """Set every variable of `TELEMETRY_OFF`; call before the libraries are imported."""
    os.environ.update(TELEMETRY_OFF)
    block_reporting_modules()


def block_reporting_modules() -> None:
    """Make the import of modules that report it fail, which their libraries treat as not installed."""
    for name in _BLOCKED_MODULES:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # the import system's documented way
