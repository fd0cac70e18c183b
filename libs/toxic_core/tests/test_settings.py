from typing import Self

import pytest
from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from toxic_core.settings import name_faults


class Settings(BaseSettings):
    """Example settings."""

    model_config = SettingsConfigDict(env_prefix="SHOP_")

    rows: int = 1
    port: int = Field(default=1, validation_alias="SHOP_PORT")
    token: int = 1

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.rows > self.port:
            raise ValueError("SHOP_ROWS is more than SHOP_PORT")
        return self


def test_a_fault_has_the_variable_without_its_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All faults are in one line, for settings with and without an alias."""
    for name in ("SHOP_ROWS", "SHOP_PORT", "SHOP_TOKEN"):
        monkeypatch.setenv(name, "secret")
    with pytest.raises(ValidationError) as caught:
        Settings()
    line = name_faults(caught.value, prefix="SHOP_")
    assert [fault.partition(": ")[0] for fault in line.split("; ")] == [
        "SHOP_ROWS",
        "SHOP_PORT",
        "SHOP_TOKEN",
    ]
    assert "secret" not in line


def test_a_rule_over_several_settings_names_them_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault has no variable of its own."""
    monkeypatch.setenv("SHOP_ROWS", "2")
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert name_faults(caught.value, prefix="SHOP_") == "Value error, SHOP_ROWS is more than SHOP_PORT"
