from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from toxic_inference.adapters.key_file import KeyFile, save_keys
from toxic_inference.doors.listing import DOORS
from toxic_inference.http.application import create_api
from toxic_inference.http.backend import Backend
from toxic_inference.http.guard import GuardRules
from toxic_inference.keys import Role, new_key
from toxic_testing.inference.fakes import ManualClock

pytestmark = pytest.mark.anyio

CLIENT, CLIENT_KEY = new_key("forum", Role.CLIENT)
OPERATOR, OPERATOR_KEY = new_key("night-shift", Role.OPERATOR)
TEXT = {"text": "hello"}
OPEN = (
    "/",
    "/docs",
    "/openapi.json",
    "/assets/page.js",
    "/metrics",
    "/v2",
    "/v2/health/live",
    "/health/ready",
)


@pytest.fixture
def serve(backend: Backend) -> Callable[..., Any]:
    """Return a client of the application under given rules."""

    @asynccontextmanager
    async def make(
        rules: GuardRules, *, backend: Backend = backend, **options: Any
    ) -> AsyncIterator[httpx.AsyncClient]:
        app = create_api(backend, DOORS, rules=rules, **options)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            yield client

    return make


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A file of two keys."""
    path = tmp_path / "keys.txt"
    save_keys(path, (CLIENT_KEY, OPERATOR_KEY))
    return path


async def test_with_keys_every_door_asks_for_one(serve: Callable[..., Any], keys: Path) -> None:
    """Pages and health don't; a path that isn't known does; each door in its own shape."""
    async with serve(GuardRules(find_key=KeyFile(keys).find)) as client:
        for path in OPEN:
            assert (await client.get(path)).status_code == 200, path
        for path in ("/predict", "/jobs", "/feedback", "/v1/models/toxic-comments:predict", "/unknown"):
            answer = await client.post(path, json=TEXT)
            scheme = 'Bearer realm="toxic-inference"'
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, scheme), path
        wrong = await client.post("/predict", json=TEXT, headers={"x-api-key": f"{CLIENT}x"})
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize(
    "given",
    [
        {"headers": {"authorization": f"Bearer {CLIENT}"}},
        {"headers": {"authorization": f"bearer {CLIENT}"}},
        {"headers": {"x-api-key": CLIENT}},
        {"headers": {"x-goog-api-key": CLIENT}},
        {"params": {"key": CLIENT}},
    ],
    ids=["bearer", "lower", "header", "google", "query"],
)
async def test_a_key_may_come_in_any_usual_place(
    serve: Callable[..., Any], keys: Path, given: dict[str, Any]
) -> None:
    """As a header or, as the Perspective API's clients send it, in the address."""
    async with serve(GuardRules(find_key=KeyFile(keys).find)) as client:
        assert (await client.post("/predict", json=TEXT, **given)).status_code == 200


@pytest.mark.parametrize(
    "given",
    [
        {"headers": {"authorization": "Bearer ya29.another-service-s"}, "params": {"key": CLIENT}},
        {"headers": {"authorization": f"Bearer {CLIENT}", "x-goog-api-key": "wrong"}},
        {"headers": {"x-api-key": "wrong", "x-goog-api-key": CLIENT}, "params": {"key": "wrong"}},
        {"headers": {"authorization": "Basic Zm9v"}, "params": {"key": ["wrong", CLIENT]}},
        {"headers": [("x-api-key", "wrong"), ("x-api-key", CLIENT)]},
    ],
)
async def test_one_good_credential_suffices(
    serve: Callable[..., Any], keys: Path, given: dict[str, Any]
) -> None:
    """Wherever it is, and whatever else is sent."""
    async with serve(GuardRules(find_key=KeyFile(keys).find)) as client:
        for path in ("/predict", "/v1alpha1/comments:analyze"):
            assert (await client.post(path, json=TEXT, **given)).status_code != 401, path
        assert (await client.post("/predict", json=TEXT, **given)).status_code == 200


async def test_corrections_are_for_operators_to_read(serve: Callable[..., Any], keys: Path) -> None:
    """Any key files them."""
    async with serve(GuardRules(find_key=KeyFile(keys).find)) as client:
        as_client, as_operator = {"x-api-key": CLIENT}, {"x-api-key": OPERATOR}
        correction = {"id": "1", "labels": {"toxic": True}}
        assert (await client.post("/feedback", json=correction, headers=as_client)).status_code == 201
        for headers, status in ((as_client, 403), (as_operator, 200)):
            assert (await client.get("/feedback", headers=headers)).status_code == status
        for headers, status in ((as_client, 403), (as_operator, 204)):
            assert (await client.delete("/feedback/1", headers=headers)).status_code == status


async def test_without_keys_only_this_machine_reads_corrections(serve: Callable[..., Any]) -> None:
    """On an address that others reach, scoring is open and the texts of others are not."""
    async with serve(GuardRules(trusted=False)) as client:
        assert (await client.post("/predict", json=TEXT)).status_code == 200
        for answer in (await client.get("/feedback"), await client.delete("/feedback/1")):
            assert answer.status_code == 403
            assert "toxic-inference keys add" in answer.json()["error"]["message"]


async def test_a_key_asks_so_often_a_minute(
    serve: Callable[..., Any], keys: Path, clock: ManualClock
) -> None:
    """Then it waits for the seconds in Retry-After; another key does not."""
    rules = GuardRules(find_key=KeyFile(keys).find, requests_per_minute=3, now=clock.now)
    headers = {"x-api-key": CLIENT}
    async with serve(rules) as client:
        for _ in range(3):
            assert (await client.post("/predict", json=TEXT, headers=headers)).status_code == 200
        refused = await client.post("/predict", json=TEXT, headers=headers)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "20")
        assert refused.json()["error"]["message"].startswith("Quota exceeded")
        assert (await client.post("/predict", json=TEXT, headers={"x-api-key": OPERATOR})).status_code == 200
        assert (await client.get("/health/ready", headers=headers)).status_code == 200
        clock.advance(20)
        assert (await client.post("/predict", json=TEXT, headers=headers)).status_code == 200
        assert (await client.post("/predict", json=TEXT, headers=headers)).status_code == 429


def spoil(file: Path) -> None:
    """Write something that isn't keys."""
    file.write_text("nonsense")


async def test_a_removed_key_is_refused_at_once(serve: Callable[..., Any], keys: Path) -> None:
    """The file is read again; an invalid one has no effect."""
    async with serve(GuardRules(find_key=KeyFile(keys).find)) as client:
        headers = {"x-api-key": CLIENT}
        assert (await client.post("/predict", json=TEXT, headers=headers)).status_code == 200
        spoil(keys)
        assert (await client.post("/predict", json=TEXT, headers=headers)).status_code == 200
        save_keys(keys, (OPERATOR_KEY,))
        assert (await client.post("/predict", json=TEXT, headers=headers)).status_code == 401


@pytest.mark.hostile(34)
async def test_a_job_belongs_to_the_key_that_made_it(serve: Callable[..., Any], keys: Path) -> None:
    """Whoever reads its id in a log or over a shoulder gets what an unknown id gets."""
    async with serve(GuardRules(find_key=KeyFile(keys).find)) as client:
        mine, other = {"x-api-key": CLIENT}, {"x-api-key": OPERATOR}
        uploaded = await client.post("/jobs", files={"file": ("a.csv", b"content\na\n")}, headers=mine)
        address = uploaded.headers["location"]
        for method, path in (("GET", address), ("GET", f"{address}/result"), ("DELETE", address)):
            refused = await client.request(method, path, headers=other)
            assert (refused.status_code, refused.json()["error"]["code"]) == (404, "unknown_job")
        assert (await client.get(address, headers=mine)).json()["state"] == "queued"
        assert (await client.delete(address, headers=mine)).status_code == 204


async def test_the_log_names_the_key_s_owner_and_never_the_key(serve: Callable[..., Any], keys: Path) -> None:
    """The log names the caller."""
    async with serve(GuardRules(find_key=KeyFile(keys).find)) as client:
        with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
            await client.post("/predict", json=TEXT, params={"key": CLIENT})
    assert logs[-1]["client"] == "forum"
    assert CLIENT not in str(logs)


async def test_other_pages_may_ask_only_where_they_are_named(serve: Callable[..., Any], keys: Path) -> None:
    """No origin by default; the named ones, exactly; and a preflight needs no key."""
    ask = {"origin": "https://forum.example", "access-control-request-method": "POST"}
    async with serve(GuardRules()) as client:
        answer = await client.options("/predict", headers=ask)
        assert "access-control-allow-origin" not in answer.headers
    rules = GuardRules(find_key=KeyFile(keys).find)
    async with serve(rules, cors_origins=("https://forum.example",)) as client:
        answer = await client.options("/predict", headers=ask)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "https://forum.example"
        other = await client.options("/predict", headers=ask | {"origin": "https://forum.example.evil"})
        assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize(
    "headers",
    [
        "content-type,x-goog-api-key",
        "content-type, X-Goog-Api-Client, x-client-data",
        "authorization,x-api-key,content-type",
        "x-goog-api-client,x-requested-with,x-javascript-user-agent,x-origin,x-referer,x-clientdetails",
        "authorization,content-type,x-stainless-arch,x-stainless-lang,x-stainless-os,x-stainless-retry-count",
        "openai-organization,openai-project,x-stainless-package-version,x-stainless-runtime,x-stainless-timeout",
    ],
)
async def test_a_page_may_send_what_browser_clients_send(serve: Callable[..., Any], headers: str) -> None:
    """A preflight for the door's own credentials and for headers that those clients add."""
    ask = {"origin": "https://forum.example", "access-control-request-method": "POST"}
    async with serve(GuardRules(), cors_origins=("https://forum.example",)) as client:
        path = "/v1alpha1/comments:analyze"
        answer = await client.options(path, headers=ask | {"access-control-request-headers": headers})
        assert answer.status_code == 200, answer.text
        other = await client.options(path, headers=ask | {"access-control-request-headers": "x-other"})
        assert other.status_code == 400


CHANGES = (
    ("POST", "/feedback"),
    ("DELETE", "/feedback/1"),
    ("POST", "/jobs"),
    ("DELETE", "/jobs/1"),
    ("POST", "/v1alpha1/comments:suggestscore"),
    ("POST", "/batch"),
)
FOREIGN = {"origin": "https://elsewhere.example"}


@pytest.mark.parametrize(
    "headers",
    [
        FOREIGN,
        {"origin": "null"},
        {"origin": "http://service.elsewhere.example"},
        {"sec-fetch-site": "cross-site"},
        {"origin": "http://service", "sec-fetch-site": "cross-site"},
    ],
)
@pytest.mark.parametrize(("method", "path"), CHANGES)
@pytest.mark.hostile(17)
async def test_a_page_of_another_origin_changes_nothing(
    serve: Callable[..., Any], method: str, path: str, headers: dict[str, str]
) -> None:
    """Each door refuses it in its own shape, and it reads and scores as before."""
    async with serve(GuardRules()) as client:
        refused = await client.request(method, path, json=TEXT, headers=headers)
        assert refused.status_code == 403
        error = refused.json()["error"]
        assert error["code"] == (403 if path.startswith(("/v1alpha1", "/batch")) else "forbidden")
        assert "INFERENCE_CORS_ORIGINS" in error["message"]
        assert (await client.post("/predict", json=TEXT, headers=headers)).status_code == 200
        assert (await client.get("/feedback", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("headers", "options"),
    [
        ({}, {}),
        ({"origin": "http://service", "sec-fetch-site": "same-origin"}, {}),
        ({"origin": "https://service"}, {}),
        ({"sec-fetch-site": "none"}, {}),
        (FOREIGN | {"sec-fetch-site": "cross-site"}, {"cors_origins": ("https://elsewhere.example",)}),
        (FOREIGN | {"sec-fetch-site": "cross-site"}, {"cors_origins": ("*",)}),
        ({"origin": "https://scores.example"}, {"public_url": "https://scores.example:443/api/"}),
        ({"origin": "https://scores.example"}, {"allowed_hosts": ("service", "scores.example")}),
    ],
)
@pytest.mark.parametrize(("method", "path"), CHANGES)
async def test_scripts_and_allowed_pages_change(
    backend: Backend,
    serve: Callable[..., Any],
    method: str,
    path: str,
    headers: dict[str, str],
    options: dict[str, Any],
) -> None:
    """Neither header, the service's own address, or an origin that the settings allow."""
    backend = replace(backend, public_url=options.get("public_url"))
    options = {name: value for name, value in options.items() if name != "public_url"}
    async with serve(GuardRules(), backend=backend, **options) as client:
        assert (await client.request(method, path, json=TEXT, headers=headers)).status_code != 403


async def test_every_operation_that_is_not_read_only_says_so() -> None:
    """A new route that changes state can't be forgotten: the others score, read, refuse, or are signed."""
    operations = {
        (operation.method, operation.path)
        for door in DOORS
        for operation in door.operations
        if operation.method != "GET" and not (operation.scores or operation.changes_state)
    }
    refusing = {path for _, path in operations if path.endswith((":classify", ":regress", ":multiInference"))}
    assert {path for _, path in operations} - refusing == {
        "/events",
        "/policies/preview",
        "/v2/repository/index",
    }


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("scores.example", 200),
        ("Scores.Example:8443", 200),
        ("pinned.example:8443", 200),
        ("pinned.example", 403),
        ("localhost:9999", 200),
        ("127.0.0.1", 200),
        ("[::1]:8001", 200),
        ("public.example", 200),
        ("elsewhere.example", 403),
        ("scores.example.elsewhere.example", 403),
        ("10.1.2.3:8001", 403),
        ("[::1", 403),
        ("", 403),
    ],
)
async def test_only_listed_hosts_are_answered(
    backend: Backend, serve: Callable[..., Any], host: str, status: int
) -> None:
    """Loopback names and the public address always are; probes and scrapes go by address."""
    backend = replace(backend, public_url="https://public.example/scores")
    listed = ("scores.example", "pinned.example:8443")
    async with serve(GuardRules(), backend=backend, allowed_hosts=listed) as client:
        for path in ("/predict", "/v1alpha1/comments:analyze", "/openai/v1/moderations", "/unknown"):
            answer = await client.post(path, json=TEXT, headers={"host": host})
            assert (answer.status_code == 403) == (status == 403), path
            assert status == 200 or "INFERENCE_ALLOWED_HOSTS" in answer.json()["error"]["message"]
        for path in ("/health/live", "/health/ready", "/metrics", "/v2/health/live", "/v2/health/ready"):
            assert (await client.get(path, headers={"host": host})).status_code == 200, path


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *(
            (host, 200)
            for host in ("inference:8001", "10.1.2.3", "[fd00::1]:8001", "node.internal", "MAC.local")
        ),
        *((host, 200) for host in ("inference.toxic.svc", "commentanalyzer.googleapis.com")),
        *(
            (host, 403)
            for host in ("elsewhere.example", "10.1.2.3.elsewhere.example:8001", "local.example", "")
        ),
    ],
)
async def test_public_names_are_refused_without_keys(
    serve: Callable[..., Any], host: str, status: int
) -> None:
    """A page can make its own name resolve to the service, and a browser then sends that name."""
    async with serve(GuardRules()) as client:
        answer = await client.post("/predict", json=TEXT, headers={"host": host})
        assert answer.status_code == status
    async with serve(GuardRules(), allowed_hosts=("*",)) as client:
        assert (await client.post("/predict", json=TEXT, headers={"host": host})).status_code == 200


async def test_any_host_is_answered_with_keys(serve: Callable[..., Any]) -> None:
    """A page has none of them."""
    async with serve(GuardRules(find_key=lambda _: None)) as client:
        answer = await client.post("/predict", json=TEXT, headers={"host": "elsewhere.example"})
        assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/", "/predict", "/unknown", "/jobs/x", "/v1alpha1/nothing"])
async def test_every_answer_has_the_security_headers(serve: Callable[..., Any], path: str) -> None:
    """Answers of every status."""
    async with serve(GuardRules()) as client:
        headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "default-src 'self'" in headers["content-security-policy"]
