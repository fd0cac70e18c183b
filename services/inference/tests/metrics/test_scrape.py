"""Everything that the service says of itself, really caused and scraped."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from toxic_core.labels import LABELS
from toxic_inference.app import create_app
from toxic_inference.metrics.catalogue import LABEL_VALUES, SPECS, STANDARD, Kind, Spec
from toxic_inference.metrics.devices import GpuCollector
from toxic_inference.monitoring.devices import GpuReading
from toxic_inference.settings import Settings
from toxic_testing.inference.bundles import WORDS

pytestmark = pytest.mark.anyio

BuildBundle = Callable[..., Path]

GPU = {spec.name for spec in SPECS.values() if spec.name.startswith("toxic_inference_gpu_")}
REGISTRYS = {"toxic_inference_version_approved"}
"""Of a registry's versions, not of a folder's; the test of the whole loop causes it."""
REVIEWERS = {"toxic_inference_review_judged_twice_texts", "toxic_inference_review_agreement_kappa"}
"""Of opinions of two people, which the test of the whole loop causes."""
CHOSEN = {"toxic_inference_model_tokens_per_second"}
"""Only where there is more than one precision to choose from."""

COUNTED_WHILE_IDLE = "toxic_inference_compiled_shapes_total"
"""From the start on, whether or not requests come."""

CSV = b"content\nyou are kind\n\xff\xfe\nyou,are,many\n"


@pytest.fixture
async def service(tmp_path: Path, build_bundle: BuildBundle) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the whole service over one version, which shows figures from the first text on."""
    build_bundle(tmp_path / "models" / "1")
    (tmp_path / "policies.yml").write_text("policies: {forum: {flag: {words: [fool]}}}")
    settings = Settings(
        policies_file=tmp_path / "policies.yml",
        model_directory=tmp_path / "models",
        state_dir=tmp_path / "state",
        poll_interval_seconds=0.01,
        shadow_fraction=1.0,
        event_secret="between the test and itself",
        monitor_min_texts=1,
        monitor_min_feedback=1,
        monitor_feedback_interval_seconds=0.01,
    )
    app = create_app(settings)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        await until_ready(client)
        yield client


async def until_ready(client: httpx.AsyncClient) -> None:
    """Ask until a version answers."""
    ready = await client.get("/health/ready")
    while ready.status_code != 200:
        await asyncio.sleep(0)  # the service runs on this event loop and needs its turn
        ready = await client.get("/health/ready")


async def cause_everything(client: httpx.AsyncClient) -> None:
    """Score, upload, correct, and send what is refused."""
    texts = ["you are kind", "you are a stupid idiot", "unheard of", *WORDS]
    for language in ("en", "xx", None):
        answer = await client.post("/predict", json={"texts": texts, "language": language})
        assert answer.status_code == 200
    await client.post("/predict", content=CSV, headers={"content-type": "text/csv"})
    await client.post("/events", json={})
    await client.post("/predict", params={"policy": "forum"}, json={"text": "you fool"})
    body = {"comment": {"text": "you"}, "languages": ["en"], "requestedAttributes": {"FLIRTATION": {}}}
    assert (await client.post("/v1alpha1/comments:analyze", json=body)).status_code == 400
    for said, score in ((True, 0.9), (False, 0.2)):
        correction = {
            "labels": dict.fromkeys(LABELS, said),
            "scores": dict.fromkeys(LABELS, score),
            "model_version": "1",
        }
        assert (await client.post("/feedback", json=correction)).status_code == 201


async def scrape(client: httpx.AsyncClient) -> dict[str, Metric]:
    """Return the families that are exposed, by the names that the catalogue gives them."""
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    return by_name(answer.text)


def by_name(text: str) -> dict[str, Metric]:
    """Return families by the names that the catalogue gives them."""
    families = text_string_to_metric_families(text)
    return {f"{f.name}_total" if f.type == "counter" else f.name: f for f in families}


async def test_every_metric_is_documented_and_every_documented_one_is_there(
    service: httpx.AsyncClient,
) -> None:
    """What is scraped is what the catalogue says, by name, type and labels; each of them has been caused."""
    await cause_everything(service)
    found = await scrape(service)
    while not found["toxic_inference_feedback_auc_ratio"].samples:
        await asyncio.sleep(0)  # corrections are read by a task on this event loop, and on a thread
        found = await scrape(service)
    ours = {name: family for name, family in found.items() if name.startswith("toxic_inference_")}
    assert found.keys() - ours.keys() <= STANDARD.keys()
    assert ours.keys() - GPU == {spec.name for spec in SPECS.values()} - GPU
    for spec in SPECS.values():
        if spec.name not in GPU | REGISTRYS | REVIEWERS | CHOSEN:
            check(spec, ours[spec.name])


def check(spec: Spec, family: Metric) -> None:
    """Hold what is scraped against what is written."""
    assert family.type == spec.kind.value
    assert family.documentation == spec.means
    assert family.samples, f"{spec.name} has not been caused"
    for sample in family.samples:
        assert sample.labels.keys() - {"le"} == set(spec.labels), sample.name
    if spec.kind is Kind.HISTOGRAM:
        assert {s.name.removeprefix(spec.name) for s in family.samples} == {"_bucket", "_sum", "_count"}
        bounds = [s.labels["le"] for s in family.samples if "le" in s.labels]
        assert "+Inf" in bounds


async def test_every_counter_exists_at_0_before_the_first_request(service: httpx.AsyncClient) -> None:
    """Routes, outcomes, labels, versions and policies: a rate includes each one's first event."""
    found = await scrape(service)
    for spec in SPECS.values():
        if spec.kind is Kind.COUNTER:
            samples = found[spec.name].samples
            assert samples, spec.name
            if spec.name == COUNTED_WHILE_IDLE:
                continue
            probes = {"/health/ready", "/metrics"}
            assert {s.value for s in samples if s.labels.get("route") not in probes} == {0.0}, spec.name
    refused = found["toxic_inference_requests_total"].samples
    assert {"/predict", "/v2/models/{name}/infer"} <= {
        sample.labels["route"] for sample in refused if sample.labels["status"] == "503"
    }
    slow = found["toxic_inference_request_duration_seconds"].samples
    assert {"/predict"} <= {sample.labels["route"] for sample in slow if sample.labels["scores"] == "yes"}
    applied = found["toxic_inference_policy_texts_total"].samples
    assert {sample.labels["policy"] for sample in applied} == {"forum"}


async def test_what_a_caller_says_never_becomes_a_label(service: httpx.AsyncClient) -> None:
    """Languages, paths, methods and versions of a caller's own making are counted under fixed names."""
    marker = "zz"
    await cause_everything(service)
    await service.post("/predict", json={"texts": ["you"], "language": marker})
    await service.request(marker.upper(), f"/{marker}", headers={"x-request-id": marker})
    await service.get(f"/v1/models/toxic-comments/versions/{marker}")
    for name, family in (await scrape(service)).items():
        for sample in family.samples:
            assert marker not in {value.lower() for value in sample.labels.values()}, name
            if name.startswith("toxic_inference_"):
                assert sample.labels.keys() - {"le"} <= LABEL_VALUES.keys()
    languages = (await scrape(service))["toxic_inference_scored_texts_total"].samples
    assert {sample.labels["language"] for sample in languages} == {"en", "other", "und"}


@pytest.mark.parametrize("readings", [[GpuReading(0, 0.5, 10, 20)], []])
def test_gpus_are_shown_where_there_are_some(readings: list[GpuReading]) -> None:
    """One series a device; a machine without one has the names and no series."""
    registry = CollectorRegistry()
    registry.register(GpuCollector(lambda: readings))
    found = by_name(generate_latest(registry).decode())
    assert found.keys() == GPU
    for spec in SPECS.values():
        if spec.name in GPU and readings:
            check(spec, found[spec.name])
    assert all(len(family.samples) == len(readings) for family in found.values())


async def test_metrics_that_are_off_leave_the_process_s_own(
    tmp_path: Path, build_bundle: BuildBundle
) -> None:
    """The service scores as ever, and says nothing of it."""
    build_bundle(tmp_path / "models" / "1")
    app = create_app(
        Settings(metrics="off", model_directory=tmp_path / "models", state_dir=tmp_path / "state")
    )
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client,
    ):
        await until_ready(client)
        assert (await client.post("/predict", json={"text": "you are kind"})).status_code == 200
        found = await scrape(client)
    assert "process_resident_memory_bytes" in found
    assert not any(name.startswith("toxic_inference_") for name in found)
