"""The test stand: processes of the service and a registry, small models, texts and memory readings.

All processes end with the stand.
"""

import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

from mlflow.tracking import MlflowClient

from benchmarks.serving.load import HOST
from toxic_core.registered import CHAMPION, MODEL_NAME
from toxic_testing.inference.bundles import WORDS, BundleFactory, TinyModel
from toxic_testing.inference.process import Server
from toxic_testing.ports import free_port
from toxic_testing.registry import RegistryProcess

SECRET = "of the test stand"  # noqa: S105  between two processes that live for a minute
FIGURES = {"test.toxic.all.rows": 1000.0, "test.toxic.all.auc": 0.9}

LIGHT = TinyModel(max_tokens=128)
"""Computes almost nothing, so that the service's overhead shows."""

HEAVY = TinyModel(max_tokens=128, work=300)
"""Costs some milliseconds a text, so that the model is what there isn't enough of."""


@dataclass(slots=True)
class Stand:
    """Processes and bundles in one folder.

    Attributes:
        folder: for all files.
        factory: makes the bundles.
    """

    folder: Path
    factory: BundleFactory
    _servers: list[Server] = field(default_factory=list)
    _registries: list[RegistryProcess] = field(default_factory=list)

    def inference(self, port: int, **settings: object) -> Server:
        """Start the service with these settings, without waiting."""
        chosen = {"port": port, "score_cache_entries": 0, "log_level": "INFO", **settings}
        chosen.setdefault("state_dir", self.folder / f"state-{port}")
        environment = {f"INFERENCE_{name.upper()}": str(value) for name, value in chosen.items()}
        server = Server(("-m", "toxic_inference"), environment=environment, folder=self.folder)
        self._servers.append(server)
        return server

    def serving(self, model: TinyModel, **settings: object) -> tuple[Server, int]:
        """Start the service on one model from a folder, and wait until it answers."""
        folder = self.models(model)
        port = free_port()
        server = self.inference(port, model_directory=folder, **settings)
        server.logs.wait_for("route.moved")
        return server, port

    def models(self, model: TinyModel) -> Path:
        """Return a folder of versions with this model as its only one."""
        folder = self.folder / f"models-{model.work}"
        if not folder.is_dir():
            self.factory(folder / "1", model=model)
        return folder

    def registry(self, port: int, *, inference_port: int) -> RegistryProcess:
        """Start a registry that notifies the service of changes, and wait until it answers."""
        process = RegistryProcess(
            {
                "REGISTRY_PORT": str(port),
                "REGISTRY_STATE_DIR": str(self.folder / "registry"),
                "REGISTRY_GATE_FILE": "demo",
                "REGISTRY_EVENT_URLS": f"http://{HOST}:{inference_port}/events",
                "REGISTRY_EVENT_SECRET": SECRET,
            }
        )
        self._registries.append(process)
        process.wait_until_ready()
        return process

    def two_versions(self, uri: str) -> None:
        """Register two versions of the light model, and make the first champion."""
        client = MlflowClient(uri, uri)
        client.create_registered_model(MODEL_NAME)
        for bias in (0.0, 1.0):
            model = TinyModel(bias=bias, max_tokens=LIGHT.max_tokens)
            bundle = self.factory(self.folder / f"bundle-{bias}", model=model, figures=FIGURES)
            run = client.create_run("0")
            client.log_artifacts(run.info.run_id, str(bundle), "model/artifacts/bundle")
            client.create_model_version(MODEL_NAME, f"{run.info.artifact_uri}/model", run.info.run_id)
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, "1")

    def end(self) -> None:
        """End every process."""
        for server in self._servers:
            server.kill()
        for registry in self._registries:
            registry.kill()


@contextmanager
def stand(folder: Path) -> Iterator[Stand]:
    """Make a stand in a folder, and end its processes afterwards."""
    (folder / "saved").mkdir(parents=True)
    made = Stand(folder, BundleFactory(folder / "saved"))
    try:
        yield made
    finally:
        made.end()


def texts(count: int, *, seed: int = 1) -> list[str]:
    """Return generated texts of 3 to 60 words, most of them short, as comments are."""
    rng = random.Random(seed)  # noqa: S311  words, not secrets
    lengths = [min(3 + int(rng.expovariate(1 / 12)), 60) for _ in range(count)]
    return [" ".join(rng.choices(WORDS, k=length)) for length in lengths]


def metric(port: int, name: str) -> float:
    """Return the value of one of the service's metrics that has no labels."""
    connection = HTTPConnection(HOST, port, timeout=30)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def memory_bytes(server: Server) -> int:
    """Return how much memory a process holds now (Linux)."""
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
    facts: Mapping[str, str] = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return int(facts["VmRSS"].split()[0]) * 1024


def cpu_seconds(server: Server) -> float:
    """Return how much processor time a process has used, its own and the system's for it (Linux)."""
    status = Path(f"/proc/{server.process.pid}/stat").read_text(encoding="ascii")
    # After the command's name, which may hold spaces, the 12th and 13th fields (proc_pid_stat(5)).
    user, system = status.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
