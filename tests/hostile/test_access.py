"""Each user does what the role allows, and MLflow's other surfaces are off, for everybody."""

import base64
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import requests
from mlflow.tracking import MlflowClient

from toxic_registry.caller import Role
from toxic_registry.ledger.entries import Outcome
from toxic_registry.server.users import user_line
from toxic_testing.registry import Attacked, RegistryProcess, Versions

pytestmark = pytest.mark.timeout(600)
TIMEOUT = 30
PASSWORD = "a long enough one"
WORSE = {"test.toxic.es.auc": 0.5}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RegistryProcess, Path]]:
    """Run a registry with a user of each role, by the role's name."""
    state = tmp_path_factory.mktemp("registry")
    lines = [user_line(role.name.lower(), PASSWORD, role) for role in Role]
    (state / "users").write_text("\n".join(lines))
    settings = {"REGISTRY_STATE_DIR": str(state), "REGISTRY_USERS_FILE": str(state / "users")}
    process = RegistryProcess(settings)
    process.wait_until_ready()
    yield process, state
    process.kill()


@pytest.fixture
def registry(
    guarded: tuple[RegistryProcess, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Attacked:
    """Return it with a model of the test's own; MLflow's client signs in as the writer."""
    process, state = guarded
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "writer")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    client = MlflowClient(process.uri, process.uri)
    return Attacked(process.uri, state, Versions(client, f"toxic-{uuid4().hex[:12]}", tmp_path / "bundles"))


def sign_in(registry: Attacked, role: str) -> None:
    """Send further requests as the user of a role."""
    credentials = base64.b64encode(f"{role}:{PASSWORD}".encode()).decode()
    registry.session.headers["Authorization"] = f"Basic {credentials}"


def test_reader_changes_nothing(registry: Attacked) -> None:
    """Neither runs nor aliases nor files; reading and searching work."""
    number = registry.versions.add()
    sign_in(registry, "reader")
    api = "/api/2.0/mlflow"
    model = {"name": registry.versions.model}
    for method, path, body in (
        ("POST", f"{api}/experiments/create", {"name": uuid4().hex}),
        ("POST", f"{api}/runs/create", {"experiment_id": "0"}),
        (
            "POST",
            f"{api}/model-versions/set-tag",
            {**model, "version": str(number), "key": "a", "value": "b"},
        ),
        ("DELETE", f"{api}/registered-models/delete", model),
        (
            "POST",
            "/ajax-api/2.0/mlflow/registered-models/alias",
            {**model, "alias": "a", "version": str(number)},
        ),
        ("DELETE", registry.artifacts(number), {}),
    ):
        answer = registry.request(method, path, json=body)
        assert (answer.status_code, "PERMISSION_DENIED" in answer.text) == (403, True), (path, answer.text)
    written = registry.request("PUT", "/api/2.0/mlflow-artifacts/artifacts/0/new/file.txt", data=b"x")
    assert written.status_code == 403
    assert registry.request("POST", f"{api}/runs/search", json={"experiment_ids": ["0"]}).status_code == 200
    assert registry.request("GET", "/ledger").status_code == 200


@pytest.mark.hostile(32)
def test_roles_decide_who_promotes_and_who_overrides(registry: Attacked) -> None:
    """The name that signed in is recorded, whatever a header says."""
    good, bad = registry.versions.add(), registry.versions.add(WORSE)
    override = {"actor": "the chief", "reason": "agreed", "override": "true"}
    sign_in(registry, "writer")
    assert registry.set_alias(good, "candidate").status_code == 200
    assert registry.set_alias(good).status_code == 400
    assert registry.set_alias(bad, **override).status_code == 400
    sign_in(registry, "promoter")
    assert registry.set_alias(good, actor="the chief").status_code == 200
    assert registry.set_alias(bad, **override).status_code == 400
    sign_in(registry, "override")
    assert registry.set_alias(bad, **override).status_code == 200
    entries = [
        (entry.outcome, entry.actor, entry.after)
        for entry in registry.ledger()
        if (entry.model, entry.alias) == (registry.versions.model, "champion")
    ]
    assert entries == [
        (Outcome.REFUSED, "writer", good), (Outcome.REFUSED, "writer", bad),
        (Outcome.ACCEPTED, "promoter", good),
        (Outcome.REFUSED, "promoter", bad), (Outcome.OVERRIDDEN, "override", bad),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/ajax-api/3.0/mlflow/assistant/config"),
        ("POST", "/ajax-api/3.0/mlflow/assistant/message"),
        ("GET", "/ajax-api/3.0/mlflow/assistant/providers"),
        ("POST", "/gateway/proxy/any/path"),
        ("GET", "/api/3.0/mlflow/gateway/secrets/list"),
        ("GET", "/ajax-api/2.0/mlflow/gateway-proxy"),
        ("POST", "/ajax-api/3.0/jobs/"),
        ("POST", "/api/2.0/mlflow/webhooks"),
        ("GET", "/api/3.0/mlflow/mcp-servers"),
        ("POST", "/v1/traces"),
        ("POST", "/ajax-api/2.0/mlflow/upload-artifact"),
        ("POST", "//ajax-api/3.0/mlflow/assistant/message"),
    ],
)
@pytest.mark.hostile(15)
def test_surface_that_nobody_needs_is_off(registry: Attacked, method: str, path: str) -> None:
    """Also for the user with the most rights, from the registry's own page."""
    sign_in(registry, "override")
    answer = registry.request(method, path, json={"providers": {}}, headers={"Origin": registry.uri})
    assert answer.status_code in {404, 405}, answer.text


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://localhost:3000"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}],
)
@pytest.mark.hostile(17)
def test_page_of_another_origin_changes_nothing(registry: Attacked, headers: dict[str, str]) -> None:
    """Although the browser sends the user's password with it; the registry's own page may."""
    sign_in(registry, "writer")
    body = {"name": uuid4().hex}
    path = "/api/2.0/mlflow/experiments/create"
    assert registry.request("POST", path, json=body, headers=headers).status_code == 403
    own = {"Origin": registry.uri, "Sec-Fetch-Site": "same-origin"}
    assert registry.request("POST", path, json=body, headers=own).status_code == 200


@pytest.fixture
def any_host(tmp_path: Path) -> Iterator[str]:
    """Run a registry that answers by every host name, and yield its address."""
    process = RegistryProcess({"REGISTRY_STATE_DIR": str(tmp_path), "REGISTRY_ALLOWED_HOSTS": "*"})
    process.wait_until_ready()
    yield process.uri
    process.kill()


@pytest.mark.hostile(17)
def test_page_of_another_origin_changes_nothing_under_any_host_name(any_host: str) -> None:
    """Only the registry's own page changes something, or reads an answer in a browser."""

    def ask(method: str, path: str, **headers: str) -> requests.Response:
        named = {"Host": "mlflow.example.org"} | {name.replace("_", "-"): v for name, v in headers.items()}
        return requests.request(method, any_host + path, json={"name": "a"}, headers=named, timeout=TIMEOUT)

    create = "/ajax-api/2.0/mlflow/experiments/create"
    for stranger in ({"origin": "http://evil.example"}, {"origin": "null"}, {"sec_fetch_site": "cross-site"}):
        assert ask("POST", create, **stranger).status_code == 403
    assert "access-control-allow-origin" not in ask("GET", "/ledger", origin="http://evil.example").headers
    own = ask("POST", create, origin="https://mlflow.example.org", sec_fetch_site="same-origin")
    assert own.status_code == 200


@pytest.mark.parametrize("hosts", [[], ["127.0.0.1", "evil.example"]])
@pytest.mark.hostile(39)
def test_request_needs_one_host_header(registry: Attacked, hosts: list[str]) -> None:
    """A probe of the health and a scrape may go without."""
    address = urlsplit(registry.uri)
    for path, refused in (("/ledger", True), ("/health", False)):
        connection = HTTPConnection(address.hostname or "", address.port or 0, timeout=30)
        connection.putrequest("GET", path, skip_host=True)
        for host in hosts:
            connection.putheader("Host", host)
        connection.endheaders()
        assert (connection.getresponse().status == 400) is refused
        connection.close()


@pytest.mark.hostile(32)
def test_removed_user_is_out_at_once(registry: Attacked) -> None:
    """Without a restart, and after the password was valid."""
    users = registry.state / "users"
    before = users.read_text()
    sign_in(registry, "reader")
    assert registry.request("GET", "/ledger").status_code == 200
    users.write_text("\n".join(line for line in before.splitlines() if not line.startswith("reader:")))
    try:
        assert registry.request("GET", "/ledger").status_code == 401
    finally:
        users.write_text(before)


@pytest.mark.hostile(32)
def test_guessing_passwords_is_slowed_down(registry: Attacked) -> None:
    """A user who is signed in doesn't notice."""
    sign_in(registry, "promoter")
    assert registry.request("GET", "/ledger").status_code == 200
    guesses = [
        registry.request("GET", "/ledger", headers={"Authorization": f"Basic {guess}"}).status_code
        for guess in (base64.b64encode(f"nobody:{n}".encode()).decode() for n in range(10))
    ]
    assert guesses[-1] == 429
    assert registry.request("GET", "/ledger").status_code == 200
