import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from toxic_core.tokens import Tokeniser, read_tokenizer
from toxic_inference.settings import Settings


def test_every_setting_is_described() -> None:
    """Each says what it is for."""
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("name", ["INFERENCE_PORT", "PORT"])
def test_the_port_has_two_names(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Plain PORT is what container platforms set."""
    monkeypatch.setenv(name, "9001")
    assert Settings().port == 9001


def test_the_own_name_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """With both set, the service's own counts."""
    monkeypatch.setenv("PORT", "1")
    monkeypatch.setenv("INFERENCE_PORT", "9001")
    assert Settings().port == 9001


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container serves a registry though its image names a folder: empty isn't the working directory."""
    monkeypatch.setenv("INFERENCE_MODEL_DIRECTORY", "")
    monkeypatch.setenv("INFERENCE_PORT", "")
    assert Settings().model_directory is None
    assert Settings().port == 8001


def test_settings_don_t_change() -> None:
    """Frozen once read."""
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an environment variable, with spaces where people put them."""
    monkeypatch.setenv("INFERENCE_PINNED_VERSIONS", "3, 5,")
    monkeypatch.setenv("INFERENCE_SERVED_ALIASES", "challenger")
    monkeypatch.setenv("INFERENCE_ALLOWED_HOSTS", "scores.example, pinned.example:8443")
    assert Settings().allowed_hosts == ("scores.example", "pinned.example:8443")
    assert Settings().pinned_versions == ("3", "5")
    assert Settings().aliases == ("champion", "challenger")


@pytest.mark.parametrize("name", ["INFERENCE_TRUSTED_PROXIES", "FORWARDED_ALLOW_IPS"])
def test_proxies_are_addresses_or_networks(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Under uvicorn's name too; a mistake is an error at the start."""
    for value in ("*", "10.0.0.0/8, ::1", "192.0.2.7"):
        monkeypatch.setenv(name, value)
        assert Settings().trusted_proxies == value
    monkeypatch.setenv(name, "proxy.example")
    with pytest.raises(ValidationError, match=r"proxy\.example"):
        Settings()


@pytest.mark.parametrize("url", ["scores.example", "ftp://scores.example", "https://a b", "https://a/?b=c"])
def test_a_public_address_is_a_web_address(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Without a query."""
    monkeypatch.setenv("INFERENCE_PUBLIC_URL", "https://scores.example/api")
    assert Settings().public_url == "https://scores.example/api"
    monkeypatch.setenv("INFERENCE_PUBLIC_URL", url)
    with pytest.raises(ValidationError):
        Settings()


def test_what_is_shadowed_is_served() -> None:
    """A share other than none needs the challenger; none doesn't."""
    assert Settings().aliases == ("champion",)
    assert Settings(shadow_fraction=0.1).aliases == ("champion", "challenger")
    assert Settings(shadow_fraction=0.1, served_aliases=("challenger",)).aliases == ("champion", "challenger")


@pytest.mark.parametrize("unit", ["the ", "hello", "!", ". ", "你", "😂 ", "é", "\u3315", "\ufdfa", "&lt;"])
def test_the_default_windows_read_every_text_of_the_default_length(unit: str) -> None:
    """By the shipped vocabulary. U+3315 has the most tokens per byte, because it stands for a word."""
    settings = Settings()
    model = Path(__file__).parents[3] / "models" / "baseline"
    contract = json.loads((model / "contract.json").read_text(encoding="utf-8"))
    tokeniser = Tokeniser(
        read_tokenizer(model / "tokenizer" / "tokenizer.json"),
        max_tokens=contract["max_tokens"],
        pad_id=contract["pad_id"],
        overlap=settings.window_overlap_tokens,
    )
    text = unit * (settings.max_text_bytes // len(unit.encode()))
    (read,) = tokeniser.encode_windows([text], most=settings.max_windows)
    assert not read.truncated
