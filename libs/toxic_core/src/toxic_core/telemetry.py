"""Nothing phones home.

People run this because their comments must not leave their machines, so the usage statistics that Kedro,
MLflow, Ray, ONNX Runtime and OpenVINO send by default are off. Images, the Makefile and every `__main__` set
the same variables; a test holds them against this table.
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

_REPORTERS = ("openvino.tools.ovc",)
"""Parts of libraries that nothing here needs and that report their own import whatever a variable says.

OpenVINO's converter does so from a thread that forks, which can keep a process from ending.
"""


def disable_telemetry() -> None:
    """Set every variable of `TELEMETRY_OFF`; call before the libraries are imported."""
    os.environ.update(TELEMETRY_OFF)
    leave_out_reporters()


def leave_out_reporters() -> None:
    """Make the import of every part that reports it fail, which its library takes for not installed."""
    for name in _REPORTERS:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # what the import system documents for it
