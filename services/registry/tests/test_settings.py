import socket
from pathlib import Path

import pytest
from pydantic import ValidationError

from toxic_registry.settings import Settings

EVERY_ADDRESS = "0.0.0.0"  # noqa: S104  as an operator would choose it


def test_database_and_artifacts_lie_in_the_state_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Choosing a state folder moves everything that has no address of its own."""
    monkeypatch.setenv("REGISTRY_STATE_DIR", str(tmp_path))
    settings = Settings()
    assert settings.backend_store_uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert settings.artifacts_destination == f"{tmp_path}/artifacts"


def test_relative_state_folder_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The default folder means the one below where the process started."""
    monkeypatch.chdir(tmp_path)
    assert Settings().state_dir == tmp_path / "var" / "registry"


def test_loopback_names_are_answered_with_and_without_port() -> None:
    """MLflow compares the whole Host header, so each name stands there twice."""
    headers = Settings(port=5005).host_headers
    assert set(headers) == {
        "localhost", "localhost:5005", "127.0.0.1", "127.0.0.1:5005", "[::1]", "[::1]:5005"
    }  # fmt: skip


def test_further_hosts_come_from_one_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with a port stands for itself; a name without one counts with this server's too."""
    monkeypatch.setenv("REGISTRY_ALLOWED_HOSTS", "registry, mlflow.example.org:8443")
    headers = Settings().host_headers
    assert headers[-3:] == ("registry", "registry:5000", "mlflow.example.org:8443")


def test_ui_may_call_from_every_allowed_host() -> None:
    """A browser sends its page's origin, which is one of the names the server goes by."""
    origins = Settings(allowed_hosts=("registry",)).origins
    assert {"http://registry:5000", "https://registry"} <= set(origins)


def test_star_allows_any_host_and_origin() -> None:
    """A star leaves the check to whatever stands in front."""
    settings = Settings(allowed_hosts=("*",))
    assert settings.host_headers == settings.origins == ("*",)


def test_listening_everywhere_adds_the_machine_and_no_wildcard() -> None:
    """On every address the machine's own name is added, never the meaningless 0.0.0.0."""
    headers = Settings(host=EVERY_ADDRESS, port=5005).host_headers
    assert f"{socket.gethostname()}:5005" in headers
    assert not any(header.startswith((EVERY_ADDRESS, "*")) for header in headers)


def test_settings_never_change() -> None:
    """What was read at the start holds until the end."""
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]


def test_password_stays_out_of_the_settings_text() -> None:
    """Logging the settings doesn't log the database's password."""
    assert "hunter2" not in repr(Settings(backend_store_uri="postgresql://u:hunter2@db/mlflow"))


@pytest.mark.parametrize(
    ("urls", "secret"),
    [("http://inference:8001/events", ""), ("inference:8001", "s3cret"), ("file:///etc/passwd", "s3cret")],
)
def test_events_go_to_the_web_and_signed_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch, urls: str, secret: str
) -> None:
    """A receiver can't check a message that nobody signed."""
    monkeypatch.setenv("REGISTRY_EVENT_URLS", urls)
    monkeypatch.setenv("REGISTRY_EVENT_SECRET", secret)
    with pytest.raises(ValidationError):
        Settings()


def test_event_secret_stays_out_of_the_settings_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logging the settings doesn't log the secret."""
    monkeypatch.setenv("REGISTRY_EVENT_URLS", "http://a/x, https://b/y")
    monkeypatch.setenv("REGISTRY_EVENT_SECRET", "s3cret")
    settings = Settings()
    assert settings.event_urls == ("http://a/x", "https://b/y")
    assert "s3cret" not in repr(settings)
