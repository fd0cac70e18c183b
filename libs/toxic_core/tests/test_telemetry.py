"""Telemetry of third-party libraries."""

import os

import pytest

from toxic_core.telemetry import TELEMETRY_OFF, disable_telemetry


@pytest.mark.parametrize("name", sorted(TELEMETRY_OFF))
def test_telemetry_is_off_even_if_the_environment_turns_it_on(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Existing variables are overwritten."""
    for variable in TELEMETRY_OFF:
        monkeypatch.setenv(variable, "on")
    disable_telemetry()
    assert os.environ[name] == TELEMETRY_OFF[name]


def test_every_library_with_telemetry_has_its_variable() -> None:
    """Kedro, MLflow, Ray, Hugging Face and ONNX Runtime have their variables, beside the general one."""
    assert TELEMETRY_OFF.keys() >= {
        "DO_NOT_TRACK",
        "KEDRO_DISABLE_TELEMETRY",
        "MLFLOW_DISABLE_TELEMETRY",
        "RAY_USAGE_STATS_ENABLED",
        "HF_HUB_DISABLE_TELEMETRY",
        "ORT_DISABLE_TELEMETRY",
    }
