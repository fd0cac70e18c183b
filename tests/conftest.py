"""What tests across packages share."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from toxic_testing.forking import quick_python
from toxic_testing.inference.bundles import BundleFactory
from toxic_testing.inference.process import Server

# Before TensorFlow is imported: these tests share the machine with the servers they start.
os.environ.update({"TF_CPP_MIN_LOG_LEVEL": "3", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"})


@pytest.fixture(scope="session")
def build_bundle(tmp_path_factory: pytest.TempPathFactory) -> BundleFactory:
    """Make sealed bundles with a real, tiny SavedModel."""
    return BundleFactory(tmp_path_factory.mktemp("models"))


class Inference:
    """Inference services of one test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers: list[Server] = []

    def start(self, environment: Mapping[str, str]) -> Server:
        """Start one, without waiting."""
        python = quick_python("inference")
        server = Server(
            ("-m", "toxic_inference"), environment=environment, folder=self._folder, python=python
        )
        self._servers.append(server)
        return server

    def end(self) -> None:
        """End all of them."""
        for server in self._servers:
            server.kill()


@pytest.fixture
def inference(tmp_path: Path) -> Iterator[Inference]:
    """Start inference services that end with the test."""
    services = Inference(tmp_path)
    yield services
    services.end()
