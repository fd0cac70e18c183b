"""The container stack of the end-to-end run: a project, ports and settings of its own, removed at the end.

`TOXIC_E2E_SERVICES` names the services if some are unavailable, such as without Grafana's image.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from toxic_testing.local.containers import ContainerStack

ROOT = Path(__file__).resolve().parents[2]
PORTS = {
    "INFERENCE_PORT": "18001",
    "INFERENCE_GRPC_PORT": "18500",
    "REGISTRY_PORT": "15000",
    "PROMETHEUS_PORT": "19090",
    "ALERTMANAGER_PORT": "19093",
    "GRAFANA_PORT": "13000",
}


def _left_out(services: str) -> list[str]:
    named = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    return sorted(set(named) - set(services.split())) if services else []


def _environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        **PORTS,
        "COMPOSE_PROJECT_NAME": "toxic-e2e",
        "TOXIC_ENV_FILE": str(folder / "env"),
        "TOXIC_DATA_DIR": str(folder / "data"),
        # Trained on the sample, for a minute: no version here meets the floors for real ones.
        "REGISTRY_GATE_FILE": "demo",
    }


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerStack]:
    """Start the stack from scratch by `make up`; remove it and its data afterwards."""
    services = os.environ.get("TOXIC_E2E_SERVICES", "")
    running = ContainerStack(
        root=ROOT,
        environment=_environment(tmp_path_factory.mktemp("stack")),
        inference=f"http://127.0.0.1:{PORTS['INFERENCE_PORT']}",
        registry=f"http://127.0.0.1:{PORTS['REGISTRY_PORT']}",
        prometheus=f"http://127.0.0.1:{PORTS['PROMETHEUS_PORT']}",
        services=services,
    )
    print(f"\nleft out of this run: {', '.join(_left_out(services)) or 'nothing'}")
    try:
        began = time.monotonic()
        print(running.up())
        print(f"make up took {time.monotonic() - began:.0f} s, the images included")
        yield running
    finally:
        running.remove()
