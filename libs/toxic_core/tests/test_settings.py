import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from toxic_core.errors import ConfigurationError
from toxic_core.settings import load_secrets, name_faults


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


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the folder of the secrets; variables that they set are removed again."""
    monkeypatch.setattr("toxic_core.settings.SECRETS", tmp_path / "secrets")
    before = dict(os.environ)
    (tmp_path / "secrets").mkdir()
    yield tmp_path / "secrets"
    for name in os.environ.keys() - before.keys():
        del os.environ[name]


def test_secrets_become_environment_variables(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file has its variable's name; the end of its line is no part of the value."""
    for name, content in {
        "SHOP_A": "one=1 \n",
        "SHOP_B": "file",
        "SHOP_C": "file\r\n",
        "SHOP_D": "\n",
    }.items():
        (secrets / name).write_bytes(content.encode())
    monkeypatch.setenv("SHOP_B", "environment")
    monkeypatch.setenv("SHOP_C", "")
    load_secrets()
    found = {name: value for name, value in os.environ.items() if name.startswith("SHOP_")}
    assert found == {"SHOP_A": "one=1 ", "SHOP_B": "environment", "SHOP_C": "file"}


def test_other_files_among_the_secrets_are_ignored(secrets: Path) -> None:
    """Kubernetes and package managers have folders of their own there; the folder may be missing, too."""
    (secrets / "kubernetes.io").mkdir()
    (secrets / "SHOP_FOLDER").mkdir()
    (secrets / "shop.key").write_text("key", encoding="utf-8")
    before = dict(os.environ)
    load_secrets()
    for file in secrets.iterdir():
        file.rename(secrets.with_name(file.name))
    secrets.rmdir()
    load_secrets()
    assert dict(os.environ) == before


def test_a_secret_that_cannot_be_read_is_named_without_its_content(secrets: Path) -> None:
    """Otherwise the program would continue without a password."""
    (secrets / "SHOP_TOKEN").write_bytes(b"key\xff")
    with pytest.raises(ConfigurationError, match="SHOP_TOKEN can't be read") as caught:
        load_secrets()
    assert "key" not in str(caught.value)
