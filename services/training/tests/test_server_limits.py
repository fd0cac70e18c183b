"""What a caller of the training server may do, and what its requests may cost."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from toxic_testing.training.runs import FakeLauncher
from toxic_training.server.app import add_limits, add_routes
from toxic_training.server.composition import compose
from toxic_training.server.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

TOKEN = "of these tests alone"
BEARER = {"authorization": f"Bearer {TOKEN}"}
ANY = "0.0.0.0"  # noqa: S104  nothing listens
Serve = Callable[..., httpx.AsyncClient]


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio."""
    return "asyncio"


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Return a function that returns a client of a server with settings, at a host name."""

    def start(host_name: str = "training:8002", **settings: Any) -> httpx.AsyncClient:
        chosen = Settings(state_dir=tmp_path, **settings)
        app = FastAPI()
        add_routes(app, chosen, compose(chosen, FakeLauncher().launch, has_data=lambda: True))
        add_limits(app, chosen)
        transport = httpx.ASGITransport(app)
        return httpx.AsyncClient(transport=transport, base_url=f"http://{host_name}", trust_env=False)

    return start


async def test_the_token_is_needed_for_everything_but_probes_and_alerts(serve: Serve) -> None:
    """Alerts have a token of their own."""
    async with serve(token=SecretStr(TOKEN), alert_token=SecretStr("another"), host=ANY) as client:
        assert (await client.get("/metrics")).status_code == 200
        for method, path in (("GET", "/runs"), ("POST", "/runs"), ("POST", "/run"), ("DELETE", "/runs/a")):
            for headers in ({}, {"authorization": "Bearer another"}, {"authorization": TOKEN}):
                answer = await client.request(method, path, headers=headers)
                assert (answer.status_code, answer.json()["error"]["code"]) == (401, "wrong_token"), path
        assert (await client.get("/runs", headers=BEARER)).json() == []
        assert (await client.post("/runs", json={}, headers=BEARER)).status_code == 202
        assert (await client.post("/alerts", json={}, headers=BEARER)).status_code == 401
        assert (await client.post("/alerts", headers={"authorization": "Bearer another"})).status_code == 422


async def test_without_a_token_no_other_machine_starts_a_run(serve: Serve) -> None:
    """It may look; on the loopback address a request needs no token."""
    async with serve(host=ANY) as client:
        for method, path in (("POST", "/runs"), ("POST", "/run"), ("DELETE", "/runs/a")):
            answer = await client.request(method, path, json={})
            assert (answer.status_code, "TRAINING_TOKEN" in answer.text) == (403, True), path
        assert (await client.get("/runs")).json() == []
    async with serve() as client:
        assert (await client.post("/runs", json={})).status_code == 202


@pytest.mark.parametrize(
    "headers",
    [{"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}],
)
@pytest.mark.hostile(17)
async def test_a_page_of_another_origin_starts_nothing(serve: Serve, headers: dict[str, str]) -> None:
    """The server's own page, /docs, may."""
    async with serve() as client:
        assert (await client.post("/runs", json={}, headers=headers)).status_code == 403
        own = {"origin": "http://training:8002", "sec-fetch-site": "same-origin"}
        assert (await client.post("/runs", json={}, headers=own)).status_code == 202


@pytest.mark.hostile(17)
async def test_public_host_names_are_refused_unless_listed(serve: Serve) -> None:
    """A page can make its own name resolve to this machine; probes are answered at any."""
    async with serve("evil.example") as client:
        assert (await client.get("/runs")).status_code == 403
        assert (await client.get("/metrics")).status_code == 200
    async with serve("evil.example", alert_token=SecretStr(TOKEN)) as client:
        assert (await client.post("/alerts", json={})).status_code == 401  # no page has its token
    async with serve("train.example", allowed_hosts="a.example, train.example") as client:
        assert (await client.get("/runs")).status_code == 200


@pytest.mark.hostile(27)
async def test_bodies_have_a_limit(serve: Serve) -> None:
    """A request for a run is short, with a declared length or without."""

    async def parts() -> Any:
        for _ in range(20):
            yield b" " * 100_000

    async with serve() as client:
        for content in (b" " * 2_000_000, parts()):
            assert (await client.post("/runs", content=content)).status_code == 413


@pytest.mark.parametrize(
    "body",
    [
        '{"pipeline_names": ["\\ud800"]}',
        '{"\\ud800": 1}',
        '{"params": NaN}',
        '{"pipeline_names": [NaN, 1e999]}',
        '{"runner": 1' + "0" * 5_000 + "}",
        "[" * 100_000,
        '{"pipeline_names": ' + "[" * 500 + "]" * 500 + "}",
        '"\\u0000"',
        json.dumps({"pipeline_names": [1] * 100_000}),
        "null",
    ],
)
@pytest.mark.parametrize("path", ["/run", "/runs", "/alerts"])
@pytest.mark.hostile(31)
async def test_no_body_breaks_the_server(serve: Serve, path: str, body: str) -> None:
    """An error of the request, and a short one."""
    async with serve(alert_token=SecretStr(TOKEN)) as client:
        answer = await client.post(path, content=body, headers={"content-type": "application/json", **BEARER})
    assert 400 <= answer.status_code < 500, answer.text[:300]
    assert len(answer.content) < 5_000
