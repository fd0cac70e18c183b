import base64
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from mlflow.tracking import MlflowClient

from toxic_core.errors import ConfigurationError
from toxic_registry.caller import Role
from toxic_registry.client.registry_client import RegistryClient
from toxic_registry.server.users import read_users, user_line
from toxic_testing.registry import RegistryProcess, Versions

pytestmark = pytest.mark.slow

StartRegistry = Callable[..., RegistryProcess]
TIMEOUT = 30


def sign_in(user: str, password: str) -> dict[str, str]:
    """Return the header that a browser sends; `requests` encodes names as Latin-1 only."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_registry_with_users_requires_a_password(
    start_registry: StartRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only health and metrics answer without a password, and the ledger has the signed-in user's name."""
    users = tmp_path / "users"
    users.write_text(f"# the team\n\n{user_line('zoë', 'p:ss', Role.PROMOTER)}\n", encoding="utf-8")
    registry = start_registry({"REGISTRY_STATE_DIR": str(tmp_path), "REGISTRY_USERS_FILE": str(users)})
    registry.wait_until_ready()

    def get(path: str, user: str = "", password: str = "") -> int:
        headers = sign_in(user, password) if user else {}
        return requests.get(registry.uri + path, headers=headers, timeout=TIMEOUT).status_code

    paths = (
        "/",
        "/ledger",
        "/metrics/",
        "/ajax-api/2.0/mlflow/registered-models/search",
        "/health/",
        "//health",
    )
    assert [get(path) for path in paths] == [401] * len(paths)
    assert [get("/health"), get("/metrics")] == [200, 200]
    assert [get("/ledger", "zoë", word) for word in ("p:ss", "p", "", "p:ss")] == [200, 401, 401, 200]
    assert get("/ledger", "max", "p:ss") == 401
    bad = requests.get(f"{registry.uri}/ledger", headers={"Authorization": "Basic %%%"}, timeout=TIMEOUT)
    assert bad.status_code == 401

    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "zoë")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "p:ss")
    client = MlflowClient(registry.uri, registry.uri)
    versions = Versions(client, "toxic-comments", tmp_path / "bundles")
    body = {"name": versions.model, "alias": "champion", "version": str(versions.add())}
    answer = requests.post(
        f"{registry.uri}/api/2.0/mlflow/registered-models/alias",
        json=body, headers={**sign_in("zoë", "p:ss"), "X-Registry-Actor": "max"}, timeout=TIMEOUT,
    )  # fmt: skip
    assert answer.status_code == 200
    assert [entry.actor for entry in RegistryClient(registry.uri).ledger().entries] == ["zoë"]


@pytest.mark.parametrize(
    "content", ["", "# no user\n", "zoe\n", "zoe:secret\n", ":scrypt:x\n", "zoe:scrypt:x root\n", None]
)
def test_invalid_users_file_is_an_error(tmp_path: Path, content: str | None) -> None:
    """A mistake in the file stops the server from starting."""
    file = tmp_path / "users"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigurationError):
        read_users(file)


@pytest.mark.parametrize("name", ["", " ", "a:b", "a\nb", "#a"])
def test_name_that_the_users_file_cannot_hold_is_refused(name: str) -> None:
    """Each line of the file is one user."""
    with pytest.raises(ConfigurationError):
        user_line(name, "x", Role.READER)


def test_metrics_count_requests_and_changes(registry_uri: str, versions: Versions) -> None:
    """Promotions and refusals have their own series, and a user's alias never becomes a label value."""

    def metric(name: str) -> float:
        lines = requests.get(f"{registry_uri}/metrics", timeout=TIMEOUT).text.splitlines()
        return float(next(line for line in lines if line.startswith(name)).rpartition(" ")[2])

    accepted = 'toxic_registry_alias_changes_total{alias="champion",outcome="accepted"}'
    other = 'toxic_registry_alias_changes_total{alias="other",outcome="accepted"}'
    before, rows = metric(accepted), metric("toxic_registry_ledger_rows")
    number = versions.add()
    versions.set_champion(number)
    versions.client.set_registered_model_alias(versions.model, "named-by-a-user", str(number))
    assert metric(accepted) == before + 1
    assert metric(other) >= 1
    assert metric("toxic_registry_ledger_rows") == rows + 2
    assert metric('toxic_registry_http_requests_total{method="POST",status="200",surface="api"}') > 0
    assert "named-by-a-user" not in requests.get(f"{registry_uri}/metrics", timeout=TIMEOUT).text


def test_browser_gets_the_ledger_as_html(registry_uri: str, versions: Versions) -> None:
    """Text from callers is escaped."""
    body = {"name": versions.model, "alias": "champion", "version": str(versions.add())}
    requests.post(
        f"{registry_uri}/api/2.0/mlflow/registered-models/alias",
        json=body, headers={"X-Registry-Actor": "<b>zoe"}, timeout=TIMEOUT,
    )  # fmt: skip
    answer = requests.get(f"{registry_uri}/ledger", headers={"Accept": "text/html"}, timeout=TIMEOUT)
    assert answer.headers["content-type"].startswith("text/html")
    assert versions.model in answer.text
    assert "&lt;b&gt;zoe" in answer.text
    assert "<b>" not in answer.text


@pytest.mark.parametrize(
    "query",
    [
        "?after=-1",
        "?limit=0",
        "?limit=1001",
        "?after=x",
        "?after=99999999999999999999",
        "/approved?model=%00",
    ],
)
@pytest.mark.hostile(31)
def test_invalid_page_parameter_is_refused(registry_uri: str, query: str) -> None:
    """The size of a page is bounded, and no parameter is one that a database refuses."""
    assert requests.get(f"{registry_uri}/ledger{query}", timeout=TIMEOUT).status_code == 422


def test_ledger_comes_in_pages(registry_uri: str, versions: Versions) -> None:
    """Following `next` returns every entry once."""
    for number in (versions.add(), versions.add()):
        versions.set_champion(number)
    sequences: list[int] = []
    after: int | None = 0
    while after is not None:
        answer = requests.get(f"{registry_uri}/ledger?limit=2&after={after}", timeout=TIMEOUT).json()
        sequences += [row["sequence"] for row in answer["rows"]]
        after = answer["next"]
    assert sequences == list(range(1, len(sequences) + 1))
    assert len(sequences) >= 3
