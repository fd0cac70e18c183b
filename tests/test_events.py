"""A new champion reaches a running service: at once by a signed message, and by polling without one."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mlflow.tracking import MlflowClient

from toxic_testing.inference.bundles import BundleFactory
from toxic_testing.ports import free_port
from toxic_testing.registry import RegistryProcess

pytestmark = pytest.mark.slow

MODEL = "toxic-comments"
SECRET = "of this test alone"
FIGURES = {"test.toxic.all.rows": 1000.0, "test.toxic.all.auc": 0.9}

MESSAGE_BOUND_SECONDS = 10.0
"""Far below the poll interval of a minute; an idle machine stays within two seconds."""


@pytest.fixture
def ports() -> tuple[int, int]:
    """Give the registry's port and the service's."""
    return free_port(), free_port()


@pytest.fixture
def registry(tmp_path: Path, ports: tuple[int, int]) -> Iterator[RegistryProcess]:
    """A real registry that sends its webhooks to the service."""
    process = RegistryProcess(
        {
            "REGISTRY_PORT": str(ports[0]),
            "REGISTRY_STATE_DIR": str(tmp_path / "registry"),
            "REGISTRY_GATE_FILE": "demo",
            "REGISTRY_EVENT_URLS": f"http://127.0.0.1:{ports[1]}/events",
            "REGISTRY_EVENT_SECRET": SECRET,
        }
    )
    process.wait_until_ready()
    yield process
    process.kill()


@pytest.fixture
def client(registry: RegistryProcess, build_bundle: BundleFactory, tmp_path: Path) -> MlflowClient:
    """A client of a registry with two versions, of which the first is champion."""
    client = MlflowClient(registry.uri, registry.uri)
    client.create_registered_model(MODEL)
    for bias in (0.0, 1.0):
        bundle = build_bundle(tmp_path / f"bundle-{bias}", bias=bias, figures=FIGURES)
        run = client.create_run("0")
        client.log_artifacts(run.info.run_id, str(bundle), "model/artifacts/bundle")
        client.create_model_version(MODEL, f"{run.info.artifact_uri}/model", run.info.run_id)
    client.set_registered_model_alias(MODEL, "champion", "1")
    return client


def _environment(tmp_path: Path, ports: tuple[int, int], **settings: str) -> dict[str, str]:
    chosen = {
        "port": str(ports[1]),
        "registry_uri": f"http://127.0.0.1:{ports[0]}",
        "cache_dir": str(tmp_path / "cache"),
        **settings,
    }
    return {f"INFERENCE_{name.upper()}": value for name, value in chosen.items()}


def _switch(client: MlflowClient, port: int) -> float:
    """Make the second version champion; return how long it took until it answered."""
    started = time.monotonic()
    client.set_registered_model_alias(MODEL, "champion", "2")
    version = None
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as service:
        while version != "2" and time.monotonic() - started < 2 * 60:
            answer = service.post("/predict", json={"texts": ["you are kind"]}).raise_for_status()
            version = answer.json()["model_version"]
    assert version == "2"
    return time.monotonic() - started


def test_a_signed_message_brings_a_new_champion_at_once(
    client: MlflowClient, inference: Any, tmp_path: Path, ports: tuple[int, int]
) -> None:
    """With a minute between polls, the new champion answers within seconds of its promotion."""
    server = inference.start(_environment(tmp_path, ports, event_secret=SECRET, poll_interval_seconds="60"))
    server.logs.wait_for("route.moved")
    seconds = _switch(client, ports[1])
    print(f"by a message: {seconds:.2f} s")  # noqa: T201  the measured time
    assert seconds < MESSAGE_BOUND_SECONDS


@pytest.mark.parametrize("secret", ["", "another secret"])
def test_without_a_message_that_counts_polling_finds_it(
    client: MlflowClient, inference: Any, tmp_path: Path, ports: tuple[int, int], secret: str
) -> None:
    """A service without messages, or with another secret, follows within a poll's interval."""
    server = inference.start(_environment(tmp_path, ports, event_secret=secret, poll_interval_seconds="1"))
    server.logs.wait_for("route.moved")
    seconds = _switch(client, ports[1])
    print(f"by polling every second: {seconds:.2f} s")  # noqa: T201  as above
    metrics = httpx.get(f"http://127.0.0.1:{ports[1]}/metrics", trust_env=False).text
    assert 'toxic_inference_events_total{outcome="accepted"} 0.0' in metrics
