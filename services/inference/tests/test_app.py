"""The whole service in this process: composition, folder source, TensorFlow and doors together."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from toxic_core.errors import ConfigurationError
from toxic_core.labels import LABELS, perspective_attribute
from toxic_inference.app import create_app
from toxic_inference.otel.settings import OtelSettings
from toxic_inference.settings import Settings
from toxic_testing.inference.collector import running_collector

pytestmark = pytest.mark.anyio

BuildBundle = Callable[..., Path]

TEXTS = ("you are kind", "you are a stupid idiot")


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the running service over an empty folder of versions."""
    (tmp_path / "models").mkdir()
    settings = Settings(
        model_directory=tmp_path / "models", state_dir=tmp_path / "state", poll_interval_seconds=0.01
    )
    app = create_app(settings)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        yield client


async def until_served(client: httpx.AsyncClient, version: str) -> None:
    """Ask until this version is the one that is ready."""
    ready = await client.get("/health/ready")
    while ready.json().get("model_version") != version:
        await asyncio.sleep(0)  # the service runs on this event loop and needs its turn
        ready = await client.get("/health/ready")


async def test_a_folder_of_versions_is_served_and_switched(
    client: httpx.AsyncClient, build_bundle: BuildBundle, tmp_path: Path
) -> None:
    """Nothing, then a version, then a larger number; what answers is what is there."""
    assert (await client.post("/predict", json={"texts": TEXTS})).status_code == 503
    build_bundle(tmp_path / "1").rename(tmp_path / "models" / "1")
    await until_served(client, "1")
    first = (await client.post("/predict", json={"texts": TEXTS})).json()
    assert first["model_version"] == "1"
    assert [result["language"] for result in first["results"]] == ["en", "en"]
    build_bundle(tmp_path / "2", bias=1.0).rename(tmp_path / "models" / "2")
    await until_served(client, "2")
    second = (await client.post("/predict", json={"texts": TEXTS})).json()
    assert second["model_version"] == "2"
    for old, new in zip(first["results"], second["results"], strict=True):
        assert all(new["scores"][label] > score for label, score in old["scores"].items())


async def test_the_doors_agree(client: httpx.AsyncClient, build_bundle: BuildBundle, tmp_path: Path) -> None:
    """Without calibration, every door gives the same text the same scores."""
    build_bundle(tmp_path / "models" / "1")
    await until_served(client, "1")
    native = await client.post("/predict", json={"texts": TEXTS})
    csv = await client.post("/predict", files={"file": ("c.csv", "\n".join(("content", *TEXTS)).encode())})
    raw = await client.post("/v1/models/toxic-comments:predict", json={"instances": TEXTS})
    perspective = [
        await client.post(
            "/v1alpha1/comments:analyze",
            json={
                "comment": {"text": text},
                "requestedAttributes": {perspective_attribute(label): {} for label in LABELS},
                "languages": ["en"],
            },
        )
        for text in TEXTS
    ]
    by_door = [
        [list(result["scores"].values()) for result in native.json()["results"]],
        [list(result["scores"].values()) for result in csv.json()["results"]],
        raw.json()["predictions"],
        [
            [score["summaryScore"]["value"] for score in answer.json()["attributeScores"].values()]
            for answer in perspective
        ],
    ]
    for door in by_door[1:]:
        for one, other in zip(by_door[0], door, strict=True):
            assert one == pytest.approx(other, abs=1e-5)


@pytest.mark.hostile(24)
async def test_a_state_folder_belongs_to_one_service(tmp_path: Path) -> None:
    """Another one is refused at its start, and may start once the first has ended."""
    (tmp_path / "models").mkdir()
    settings = Settings(model_directory=tmp_path / "models", state_dir=tmp_path / "state")
    app = create_app(settings)
    upload = tmp_path / "state" / "jobs" / ".partial-of-the-first"
    async with app.router.lifespan_context(app):
        upload.mkdir()
        with pytest.raises(ConfigurationError, match="INFERENCE_STATE_DIR"):
            create_app(settings)
        assert upload.is_dir()
    again = create_app(settings)
    assert not upload.exists()
    async with again.router.lifespan_context(again):
        pass


@pytest.mark.hostile(17)
async def test_a_service_that_others_reach_needs_keys(tmp_path: Path) -> None:
    """Or the word of its operator that none are needed; a start without either has no effect."""
    with pytest.raises(ConfigurationError, match="INFERENCE_ALLOW_UNAUTHENTICATED"):
        create_app(Settings(host="192.0.2.1", state_dir=tmp_path / "state"))
    assert not (tmp_path / "state").exists()
    (tmp_path / "models").mkdir()
    settings = Settings(
        host="192.0.2.1",
        allow_unauthenticated=True,
        model_directory=tmp_path / "models",
        state_dir=tmp_path / "state",
    )
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        pass


async def test_traces_and_metrics_reach_a_collector(build_bundle: BuildBundle, tmp_path: Path) -> None:
    """What the last requests left is sent at the stop."""
    build_bundle(tmp_path / "models" / "1")
    settings = Settings(
        model_directory=tmp_path / "models", state_dir=tmp_path / "state", poll_interval_seconds=0.01
    )
    with running_collector() as collector:
        app = create_app(settings, OtelSettings(exporter_otlp_endpoint=collector.url))
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client,
        ):
            await until_served(client, "1")
            assert (await client.post("/predict", json={"texts": TEXTS})).status_code == 200
    names = {span.name for span in collector.spans}
    assert names == {"POST /predict", "tokenise", "queue", "batch", "compute"}
    batches = collector.metrics["toxic_inference_batch_rows"].histogram.data_points
    assert sum(batch.count for batch in batches) == len(collector.named("batch"))
    sent = b"".join(collector.bodies)
    assert not any(text.encode() in sent for text in TEXTS)
