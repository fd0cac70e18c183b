"""Triton's extensions of the Open Inference Protocol: configuration, repository index, statistics."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from toxic_core.errors import ContractError
from toxic_inference.doors.listing import DOORS
from toxic_inference.events import BatchRan, CacheLookedUp, SessionEnded, SessionOutcome, TextsTokenised
from toxic_inference.http.application import create_api
from toxic_inference.http.backend import Backend
from toxic_inference.metrics import Metrics
from toxic_inference.serving.versions.states import State, VersionStatus
from toxic_testing.inference.core import FakeCore

pytestmark = pytest.mark.anyio

MODEL = "/v2/models/toxic-comments"


async def test_the_models_and_the_server(client: httpx.AsyncClient) -> None:
    """The one model is listed; the server answers with and without a slash at the end."""
    assert (await client.get("/v2/models")).json() == {"models": ["toxic-comments"]}
    assert (await client.get("/v2/")).json() == (await client.get("/v2")).json()


@pytest.mark.parametrize("path", [MODEL, f"{MODEL}/versions/7"])
async def test_the_configuration_names_the_labels(client: httpx.AsyncClient, path: str) -> None:
    """Tensors as in the metadata, in Triton's words, and the labels of the columns in order."""
    assert (await client.get(f"{path}/config")).json() == {
        "name": "toxic-comments",
        "platform": "tensorflow_savedmodel",
        "max_batch_size": 0,
        "input": [{"name": "text", "data_type": "TYPE_STRING", "dims": [-1]}],
        "output": [
            {"name": "probabilities", "data_type": "TYPE_FP32", "dims": [-1, 6]},
            {"name": "decisions", "data_type": "TYPE_BOOL", "dims": [-1, 6]},
        ],
        "parameters": {"labels": {"string_value": "toxic,severe_toxic,obscene,threat,insult,identity_hate"}},
    }


async def test_the_index_has_every_version(client: httpx.AsyncClient, core: FakeCore) -> None:
    """With its state, and the error of one that failed; or only those that answer."""
    core.known.append(VersionStatus("8", State.FAILED, ContractError("contract.json is missing"), ()))
    ready = {"name": "toxic-comments", "version": "7", "state": "READY", "reason": ""}
    failed = ready | {"version": "8", "state": "UNAVAILABLE", "reason": "contract.json is missing"}
    for content, expected in (
        (b"", [ready, failed]),
        (b"{}", [ready, failed]),
        (b'{"ready": true}', [ready]),
    ):
        answer = await client.post("/v2/repository/index", content=content)
        assert (answer.status_code, answer.json()) == (200, expected)


def rows(**totals: int) -> dict[str, int]:
    """Return a duration's count and time in nanoseconds."""
    return {"count": 0, "ns": 0} | totals


@pytest.mark.parametrize("path", ["/v2/models/stats", f"{MODEL}/stats", f"{MODEL}/versions/7/stats"])
async def test_statistics_are_the_metrics_totals(
    client: httpx.AsyncClient, metrics: Metrics, path: str
) -> None:
    """A batch of three rows, two texts of the cache, a request that was tokenised."""
    metrics.emit(
        BatchRan(
            version="7",
            rows=3,
            tokens=30,
            padded_tokens=36,
            compute_seconds=0.5,
            longest_wait_seconds=0.25,
        )
    )
    metrics.emit(CacheLookedUp("7", 2, 3))
    marked = {"truncated": 0, "low_confidence": 0}
    tokenised: dict[str, Any] = marked | {"texts": 3, "windows": 3, "tokens": 30, "unknown": 0}
    metrics.emit(TextsTokenised(version="7", **tokenised, seconds=0.125))
    (found,) = (await client.get(path)).json()["model_stats"]
    assert found.pop("last_inference") > 1_600_000_000_000
    assert found == {
        "name": "toxic-comments",
        "version": "7",
        "inference_count": 3,
        "execution_count": 1,
        "inference_stats": {
            "success": rows(count=5, ns=875_000_000),
            "fail": rows(),
            "queue": rows(count=1, ns=250_000_000),
            "compute_input": rows(count=1, ns=125_000_000),
            "compute_infer": rows(count=1, ns=500_000_000),
            "compute_output": rows(count=1),
            "cache_hit": rows(count=2),
            "cache_miss": rows(count=3),
        },
        "batch_stats": [],
    }


async def test_failed_requests_are_statistics(client: httpx.AsyncClient, metrics: Metrics) -> None:
    """Those that the version's model failed, or whose deadline passed; refused ones aren't inferences."""
    for version, outcome, count in (
        ("7", SessionOutcome.ANSWERED, 4),
        ("7", SessionOutcome.FAILED, 2),
        ("7", SessionOutcome.OTHER, 3),
        ("6", SessionOutcome.FAILED, 1),
    ):
        for _ in range(count):
            metrics.emit(SessionEnded(version, outcome))
    (found,) = (await client.get(f"{MODEL}/stats")).json()["model_stats"]
    assert found["inference_stats"]["fail"] == rows(count=2)
    assert found["inference_stats"]["success"] == rows()


async def test_statistics_need_a_version_and_metrics(client: httpx.AsyncClient, backend: Backend) -> None:
    """Another version isn't found; without metrics there are no totals."""
    assert (await client.get(f"{MODEL}/versions/8/stats")).status_code == 404
    assert (await client.get("/v2/models/other/stats")).status_code == 404
    transport = httpx.ASGITransport(create_api(replace(backend, totals=None), DOORS))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as silent:
        answer = await silent.get("/v2/models/stats")
    assert (answer.status_code, "INFERENCE_METRICS" in answer.text) == (400, True)
