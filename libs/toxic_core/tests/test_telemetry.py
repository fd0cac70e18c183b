"""Nothing phones home."""

import os

import pytest

from toxic_core.telemetry import TELEMETRY_OFF, disable_telemetry


@pytest.mark.parametrize("name", sorted(TELEMETRY_OFF))
def test_telemetry_is_off_even_where_it_was_on(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variable is set, over whatever the environment said."""
    for variable in TELEMETRY_OFF:
        monkeypatch.setenv(variable, "on")
    disable_telemetry()
    assert os.environ[name] == TELEMETRY_OFF[name]


def test_every_library_that_phones_home_is_named() -> None:
    """Kedro, MLflow, Ray, Hugging Face and ONNX Runtime have their variables, beside the general one."""
    assert TELEMETRY_OFF.keys() >= {
        "DO_NOT_TRACK",
        "KEDRO_DISABLE_TELEMETRY",
        "MLFLOW_DISABLE_TELEMETRY",
        "RAY_USAGE_STATS_ENABLED",
        "HF_HUB_DISABLE_TELEMETRY",
        "ORT_DISABLE_TELEMETRY",
    }
