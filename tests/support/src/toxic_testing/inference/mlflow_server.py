"""A plain MLflow server, without this project's gate, as a process: what a registry at its simplest is.

Invariant: it listens on a port of its own and keeps everything in the folder it was given.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from toxic_testing.inference.process import Server
from toxic_testing.ports import free_port
from toxic_testing.registry.tables import copy_tables

StartServer = Callable[..., Server]


class Registry:
    """A real MLflow server that can be taken away and started again."""

    def __init__(self, start: StartServer, folder: Path) -> None:
        self._start = start
        self._folder = folder
        self._port = free_port()
        self.uri = f"http://127.0.0.1:{self._port}"
        self._server: Server | None = None
        self._answers = False

    def launch(self) -> None:
        """Start it, without waiting until it answers."""
        arguments = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self._port)]
        arguments += ["--backend-store-uri", copy_tables(self._folder / "mlflow.db"), "--workers", "1"]
        arguments += ["--artifacts-destination", str(self._folder / "artifacts")]
        environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self._server = self._start(arguments, environment=environment, folder=self._folder)
        self._answers = False

    def wait(self) -> None:
        """Wait until it answers, once it was launched."""
        assert self._server is not None
        if not self._answers:
            # With one worker, uvicorn logs this once its socket listens, after the application's start.
            self._server.logs.wait_for("Uvicorn running on")
        self._answers = True

    def kill(self) -> None:
        """Take it away without a word."""
        assert self._server is not None
        self._server.kill()

    @property
    def running(self) -> bool:
        """Whether it is there."""
        return self._server is not None and self._server.process.poll() is None


class RegisteredModel:
    """An empty registered model for one test."""

    def __init__(self, registry: Registry, name: str) -> None:
        self.registry = registry
        self.name = name

    def register(self, bundle: Path) -> str:
        """Make a model version of a bundle, as the training pipeline lays it out; return its number."""
        client = self._client()
        run = client.create_run("0")
        client.log_artifacts(run.info.run_id, str(bundle), "model/artifacts/bundle")
        with suppress(MlflowException):
            client.create_registered_model(self.name)
        source = f"{run.info.artifact_uri}/model"
        return str(client.create_model_version(self.name, source, run_id=run.info.run_id).version)

    def set_alias(self, alias: str, version: str) -> None:
        """Point an alias at a version."""
        self._client().set_registered_model_alias(self.name, alias, version)

    def delete_alias(self, alias: str) -> None:
        """Remove an alias."""
        self._client().delete_registered_model_alias(self.name, alias)

    def _client(self) -> MlflowClient:
        return MlflowClient(self.registry.uri, self.registry.uri)
