"""The service as a process, for clients that others wrote."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from toxic_testing.inference.drop_in import DropIn
from toxic_testing.inference.process import Server
from toxic_testing.ports import free_port


@dataclass(frozen=True, slots=True)
class Service:
    """A running service, its address for HTTP and that for gRPC."""

    address: str
    grpc_address: str
    server: Server


@pytest.fixture(scope="session")
def service_process(
    start_server: Callable[..., Server],
    build_bundle: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Service:
    """The service with version 1 of a tiny English model."""
    folder = tmp_path_factory.mktemp("service")
    build_bundle(folder / "models" / "1")
    port, grpc_port = free_port(), free_port()
    environment = {
        "INFERENCE_PORT": str(port),
        "INFERENCE_GRPC_PORT": str(grpc_port),
        "INFERENCE_MODEL_DIRECTORY": "models",
    }
    server = start_server(("-m", "toxic_inference"), environment=environment, folder=folder)
    server.logs.wait_for("route.moved")
    return Service(f"http://127.0.0.1:{port}", f"127.0.0.1:{grpc_port}", server)


@pytest.fixture(scope="session")
def address(service_process: Service) -> str:
    """The service's address."""
    return service_process.address


@pytest.fixture(scope="session")
def grpc_address(service_process: Service) -> str:
    """The address of the service's gRPC doors."""
    return service_process.grpc_address


@pytest.fixture(scope="session")
def drop_in(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DropIn]:
    """The service at Google's host, for programs that this starts."""
    with DropIn(address, tmp_path_factory.mktemp("drop-in")) as running:
        yield running
