"""The discovery document behind proxies."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from toxic_inference.doors.listing import DOORS
from toxic_inference.http.application import create_api
from toxic_inference.http.backend import Backend

pytestmark = pytest.mark.anyio

PATH = "/$discovery/rest"
HTTPS = {"host": "scores.example", "x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.7"}
Serve = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def serve(backend: Backend) -> Serve:
    """Return a client that calls from an address."""

    @asynccontextmanager
    async def make(peer: str, url: str | None = None, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
        app = create_api(replace(backend, public_url=url), DOORS, **options)
        transport = httpx.ASGITransport(app, client=(peer, 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://toxic:8001") as client:
            yield client

    return make


async def root_of(client: httpx.AsyncClient, path: str = PATH, **headers: str) -> str:
    """Return the document's address, which is everywhere the same."""
    document = (await client.get(path, headers=headers)).json()
    root = str(document["rootUrl"])
    assert document["mtlsRootUrl"] == document["baseUrl"] == root
    assert document["documentationLink"] == f"{root}docs"
    return root


@pytest.mark.parametrize(
    ("peer", "proxies", "root"),
    [
        ("10.1.2.3", "10.0.0.0/8", "https://scores.example/"),
        ("10.1.2.3", "127.0.0.1, 10.1.2.3", "https://scores.example/"),
        ("2001:db8::1", "*", "https://scores.example/"),
        ("10.1.2.3", "127.0.0.1", "http://scores.example/"),
        ("192.0.2.1", "10.0.0.0/8", "http://scores.example/"),
        ("10.1.2.3", "", "http://scores.example/"),
    ],
)
async def test_a_trusted_proxy_says_which_scheme_clients_use(
    serve: Serve, peer: str, proxies: str, root: str
) -> None:
    """Another peer could send anything."""
    async with serve(peer, trusted_proxies=proxies) as client:
        assert await root_of(client, **HTTPS) == root


@pytest.mark.parametrize("url", ["https://scores.example/api", "https://scores.example/api/"])
async def test_the_public_address_replaces_the_requests(serve: Serve, url: str) -> None:
    """For proxies that pass neither the host nor the scheme."""
    async with serve("10.1.2.3", url) as client:
        assert await root_of(client) == "https://scores.example/api/"
        assert await root_of(client, **HTTPS) == "https://scores.example/api/"


async def test_older_clients_find_the_document_too(serve: Serve) -> None:
    """At the path of Google's former directory."""
    async with serve("127.0.0.1") as client:
        path = "/discovery/v1/apis/commentanalyzer/v1alpha1/rest"
        assert await root_of(client, path) == "http://toxic:8001/"
        wrong = await client.get("/discovery/v1/apis/commentanalyzer/v9/rest")
        assert (wrong.status_code, wrong.json()["error"]["status"]) == (404, "NOT_FOUND")
        members = (await client.get(path)).json()["schemas"]["AnalyzeCommentRequest"]["properties"]
        assert members["dropUnsupportedAttributes"]["type"] == "boolean"
