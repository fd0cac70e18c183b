"""The discovery document: its schemas, and its addresses behind proxies."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from pydantic.json_schema import models_json_schema

from toxic_inference.doors.listing import DOORS
from toxic_inference.doors.perspective import messages
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
    async with serve(peer, trusted_proxies=proxies, allowed_hosts=("scores.example",)) as client:
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


async def test_the_discovery_document_names_no_other_host(client: httpx.AsyncClient) -> None:
    """Its address is the one it was asked at, and every schema it refers to is in it."""
    document = (await client.get("/$discovery/rest", params={"version": "v1alpha1"})).json()
    assert document["rootUrl"] == document["baseUrl"] == "http://service/"
    assert document["resources"]["comments"]["methods"].keys() == {"analyze", "suggestscore"}
    referred = {m["request"]["$ref"] for m in document["resources"]["comments"]["methods"].values()}
    assert referred <= document["schemas"].keys()


def discovered(schema: dict[str, Any], enums: dict[str, Any]) -> dict[str, Any]:
    """Return the discovery document's form of a JSON schema; null is left out in proto3."""
    described = {"description": schema["description"]} if "description" in schema else {}
    if "anyOf" in schema:
        return discovered(schema["anyOf"][0], enums) | described
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name in enums:
            values = enums[name]["enum"]
            return {"type": "string", "enum": values, "enumDescriptions": [""] * len(values)} | described
        return {"$ref": name} | described
    kept = {key: schema[key] for key in ("type", "format") if key in schema}
    inner = {
        key: discovered(schema[key], enums) for key in ("items", "additionalProperties") if key in schema
    }
    return kept | inner | described


async def test_the_discovery_document_has_what_the_routes_read(client: httpx.AsyncClient) -> None:
    """Its schemas have the members, types and descriptions of the messages."""
    models = [cls for name, cls in vars(messages).items() if name.endswith(("Request", "Response"))]
    schemas = models_json_schema([(model, "validation") for model in models])[1]["$defs"]
    enums = {name: schema for name, schema in schemas.items() if "enum" in schema}
    document = (await client.get("/$discovery/rest")).json()
    assert document["schemas"] == {
        name: {
            "id": name,
            "type": "object",
            "description": schema["description"],
            "properties": {
                member: discovered(each, enums)
                for member, each in schema["properties"].items()
                if isinstance(each, dict) and "x-unpublished" not in each
            },
        }
        for name, schema in schemas.items()
        if name not in enums
    }
