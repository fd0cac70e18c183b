"""The service as a process, for clients that others wrote."""

from collections.abc import Callable
from pathlib import Path

import pytest

from toxic_inference.testing.process import free_port


@pytest.fixture(scope="session")
def address(
    start_server: Callable[..., object],
    build_bundle: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """Where the service listens, with version 1 of a tiny English model."""
    folder = tmp_path_factory.mktemp("service")
    build_bundle(folder / "models" / "1")
    port = free_port()
    environment = {
        "INFERENCE_PORT": str(port),
        "INFERENCE_MODEL_DIRECTORY": "models",
    }
    server = start_server(("-m", "toxic_inference"), environment=environment, folder=folder)
    server.logs.wait_for("route.moved")  # type: ignore[attr-defined]  # conftest's Server
    return f"http://127.0.0.1:{port}"
