import socket
from pathlib import Path

import pytest
from pydantic import ValidationError

from toxic_registry.settings import Settings

EVERY_ADDRESS = "0.0.0.0"  # noqa: S104  an operator's choice


def test_database_and_artifacts_default_to_the_state_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A state folder moves the defaults of both."""
    monkeypatch.setenv("REGISTRY_STATE_DIR", str(tmp_path))
    settings = Settings()
    assert settings.backend_store_uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert settings.artifacts_destination == f"{tmp_path}/artifacts"


def test_relative_state_folder_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The default folder is relative to the working directory at the start."""
    monkeypatch.chdir(tmp_path)
    assert Settings().state_dir == tmp_path / "var" / "registry"


def test_loopback_names_are_allowed_with_and_without_port() -> None:
    """MLflow compares the whole Host header, so each name is listed twice."""
    headers = Settings(port=5005).host_headers
    assert set(headers) == {
        "localhost", "localhost:5005", "127.0.0.1", "127.0.0.1:5005", "[::1]", "[::1]:5005"
    }  # fmt: skip


def test_further_hosts_come_from_one_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name without a port is allowed with this server's port too."""
    monkeypatch.setenv("REGISTRY_ALLOWED_HOSTS", "registry, mlflow.example.org:8443")
    headers = Settings().host_headers
    assert headers[-3:] == ("registry", "registry:5000", "mlflow.example.org:8443")


def test_every_allowed_host_is_an_allowed_origin() -> None:
    """A browser sends the origin of its page, which is one of the server's names."""
    origins = Settings(allowed_hosts=("registry",)).origins
    assert {"http://registry:5000", "https://registry"} <= set(origins)


def test_star_allows_any_host_and_no_further_origin() -> None:
    """A star is for host names; the origins are those of the names beside it."""
    settings = Settings(allowed_hosts=("*", "mlflow.example.org"))
    assert settings.host_headers == ("*",)
    assert settings.origins == Settings(allowed_hosts=("mlflow.example.org",)).origins


def test_listening_everywhere_adds_the_machine_and_no_wildcard() -> None:
    """Listening on all addresses allows the machine's own name, never 0.0.0.0."""
    headers = Settings(host=EVERY_ADDRESS, port=5005).host_headers
    assert f"{socket.gethostname()}:5005" in headers
    assert not any(header.startswith((EVERY_ADDRESS, "*")) for header in headers)


def test_settings_are_immutable() -> None:
    """An assignment is an error."""
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]


def test_repr_has_no_database_password() -> None:
    """Logging the settings doesn't log the password."""
    assert "hunter2" not in repr(Settings(backend_store_uri="postgresql://u:hunter2@db/mlflow"))


@pytest.mark.parametrize(
    ("urls", "secret"),
    [("http://inference:8001/events", ""), ("inference:8001", "s3cret"), ("file:///etc/passwd", "s3cret")],
)
def test_webhooks_need_a_secret_and_web_addresses(
    monkeypatch: pytest.MonkeyPatch, urls: str, secret: str
) -> None:
    """Receivers verify the signature."""
    monkeypatch.setenv("REGISTRY_EVENT_URLS", urls)
    monkeypatch.setenv("REGISTRY_EVENT_SECRET", secret)
    with pytest.raises(ValidationError):
        Settings()


def test_repr_has_no_webhook_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logging the settings doesn't log the secret."""
    monkeypatch.setenv("REGISTRY_EVENT_URLS", "http://a/x, https://b/y")
    monkeypatch.setenv("REGISTRY_EVENT_SECRET", "s3cret")
    settings = Settings()
    assert settings.event_urls == ("http://a/x", "https://b/y")
    assert "s3cret" not in repr(settings)
