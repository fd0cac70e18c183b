import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from jsonschema_rs import validate

from toxic_core.contract.reference import RecentTraffic
from toxic_core.errors import ContractError, RegistryUnavailableError
from toxic_inference.events import TextsScored, VersionAvailable
from toxic_inference.metrics import Metrics
from toxic_inference.serving.versions.states import State, VersionStatus
from toxic_testing.inference.core import FakeCore

pytestmark = pytest.mark.anyio


async def test_live_is_not_ready(client: httpx.AsyncClient, core: FakeCore) -> None:
    """A process without a version is alive, and the answer names what it waits for."""
    core.ready = False
    core.known = []
    assert (await client.get("/health/live")).status_code == 200
    answer = await client.get("/health/ready")
    assert answer.status_code == 503
    assert "no version of 'toxic-comments' is 'champion'" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (VersionStatus("7", State.LOADING, None, ()), "version 7 is loading"),
        (VersionStatus("7", State.FAILED, ContractError("it is damaged"), ()), "version 7: it is damaged"),
    ],
)
async def test_not_ready_says_what_is_in_the_way(
    client: httpx.AsyncClient, core: FakeCore, status: VersionStatus, says: str
) -> None:
    """The detail distinguishes a load in progress from a failed one."""
    core.ready = False
    core.known = [status]
    assert (await client.get("/health/ready")).json()["detail"] == says


async def test_not_ready_says_that_the_registry_is_gone(client: httpx.AsyncClient, core: FakeCore) -> None:
    """A first start without a registry isn't mistaken for an empty one."""
    core.ready = False
    core.known = []
    core.source_error = RegistryUnavailableError("The registry doesn't answer.")
    assert (await client.get("/health/ready")).json()["detail"] == "The registry doesn't answer."


async def test_ready_names_the_version(client: httpx.AsyncClient) -> None:
    """With a version, texts can be scored."""
    answer = await client.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "model_name": "toxic-comments", "model_version": "7"}


async def test_requests_are_counted_by_template(
    client: httpx.AsyncClient, metric: Callable[..., float]
) -> None:
    """Routes are templates and unknown paths are one value, so that label values stay bounded."""
    await client.get("/v1/models/toxic-comments/versions/7")
    await client.get("/random/path")
    await client.request("BREW", "/predict")
    count = "toxic_inference_requests_total"
    template = "/v1/models/{name}/versions/{version}"
    assert metric(count, door="tf_serving", route=template, method="GET", status="200") == 1
    assert metric(count, door="none", route="unmatched", method="GET", status="404") == 1
    assert metric(count, door="native", route="/predict", method="OTHER", status="405") == 1
    seconds = "toxic_inference_request_duration_seconds_count"
    assert metric(seconds, door="tf_serving", route=template, scores="no") == 1
    assert metric(seconds, door="native", route="/predict", scores="yes") == 1
    assert metric("toxic_inference_requests_in_progress") == 0


@pytest.mark.parametrize("path", ["/", "/docs", "/assets/page.js", "/assets/page.css"])
async def test_pages_name_no_other_host(client: httpx.AsyncClient, path: str) -> None:
    """A browser that opens them asks no other host, and may only run the page's own scripts."""
    answer = await client.get(path)
    assert answer.status_code == 200
    addresses = set(re.findall(r"https?://[\w.]+", answer.text)) - {"http://www.w3.org"}
    assert addresses == set()
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe-inline" not in answer.headers["content-security-policy"].split("style-src")[0]


async def test_what_the_pages_refer_to_is_there(client: httpx.AsyncClient) -> None:
    """Every script and style sheet of the page and the documentation is served, and no other file."""
    for page in ("/", "/docs"):
        for path in re.findall(r'(?:src|href)="(/[^"]+)"', (await client.get(page)).text):
            assert (await client.get(path)).status_code == 200, path
    for name in ("page", "comment", "file"):
        script = (await client.get(f"/assets/{name}.js")).text
        for imported in re.findall(r'^import .*"\./([\w.]+)";$', script, re.MULTILINE):
            assert (await client.get(f"/assets/{imported}")).status_code == 200, imported
    assert (await client.get("/assets/../settings.py")).status_code == 404
    assert (await client.get("/assets/nothing.js")).status_code == 404


async def test_every_route_is_described(client: httpx.AsyncClient) -> None:
    """The OpenAPI document has a summary and a description for each route, and no dangling reference."""
    document = (await client.get("/openapi.json")).json()
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            assert route.get("summary"), (method, path)
            assert route.get("description"), (method, path)
    references = set(re.findall(r'"#/components/schemas/(\w+)"', (await client.get("/openapi.json")).text))
    assert references <= document["components"]["schemas"].keys()


def _bodies(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            said = [("request", route.get("requestBody", {})), *route["responses"].items()]
            for of, body in said:
                for media_type, content in body.get("content", {}).items():
                    yield f"{method} {path}, {of}, {media_type}", content


async def test_every_body_has_an_example_that_its_schema_accepts(client: httpx.AsyncClient) -> None:
    """Requests and answers, errors included."""
    document = (await client.get("/openapi.json")).json()
    for where, content in _bodies(document):
        schema = content.get("schema") or {}
        if reference := schema.get("$ref"):
            schema = document["components"]["schemas"][reference.rpartition("/")[2]]
        examples = [content["example"]] if "example" in content else schema.get("examples", [])
        assert examples, where
        whole = {**schema, "components": document["components"]}
        for example in examples:
            validate(whole, example)


async def test_traffic_is_counts_of_what_the_champion_scored(
    client: httpx.AsyncClient, core: FakeCore, metrics: Metrics
) -> None:
    """By language, length and score, without any text; nothing before there are enough."""
    assert (await client.get("/traffic")).status_code == 204
    metrics.emit(VersionAvailable("7", core.contract, runtime="tensorflow"))
    await client.post("/predict", json={"texts": ["you are kind", "you too"], "lang": "en"})
    scores = np.full((2, 6), 0.1, np.float32)
    metrics.emit(TextsScored("7", ["en"] * 2, scores, scores > 1, [5, 9]))
    answer = await client.get("/traffic")
    found = RecentTraffic.model_validate(answer.json())
    assert (found.label, found.languages["en"]) == ("toxic", 2)
    assert sum(found.lengths.counts) == sum(found.scores.counts) == 2
    assert "kind" not in answer.text
    core.known = []
    assert (await client.get("/traffic")).status_code == 204
