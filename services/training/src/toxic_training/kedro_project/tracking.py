"""Runs in MLflow: kedro-mlflow's hook, with names, typed parameters, datasets, and no wait for a registry.

Invariant: a run never writes to another registry than the configured one.
"""

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import mlflow
import requests
from kedro.config import OmegaConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro_mlflow.framework.hooks.mlflow_hook import MlflowHook
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from pydantic import BaseModel

from toxic_core.errors import RegistryUnavailableError
from toxic_training.kedro_project.run_report import CAUSE, report_path

NOWHERE = "sqlite:///:memory:"
"""MLflow's address in a process without a registry, in which no run can start."""

_DIGESTS = "training_data_digests"  # the dataset with the digest of every raw table, by name
_COMMAND = "kedro_command"
_PROBE_SECONDS = 5.0
_DIGEST_CHARACTERS = 36  # MLflow's limit
_REFUSED = re.compile(r"[^\w.\- :]")  # characters that MLflow refuses in a parameter's name, and slashes
_LISTS = {
    "pipelines": "pipeline_names",
    "tags": "tags",
    "nodes": "node_names",
    "from-nodes": "from_nodes",
    "to-nodes": "to_nodes",
    "from-inputs": "from_inputs",
    "to-outputs": "to_outputs",
    "namespaces": "namespaces",
}
"""Options of `kedro run` that take a list, and Kedro's names for them in `run_params`."""


class TrackingHook(MlflowHook):
    """Logs runs to MLflow.

    Without a registry, `kedro ipython` and the commands that only read start at once, and a run fails. A run
    that a scheduler or the training server started waits as long as MLflow does, since no user waits for it.
    """

    _missing = ""
    _env = ""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Set up MLflow."""
        loader = context.config_loader
        if isinstance(loader, OmegaConfigLoader):
            loader.config_patterns.setdefault("mlflow", ["mlflow*", "mlflow*/**", "**/mlflow*"])
        server = loader["mlflow"]["server"]
        address = str(server["mlflow_tracking_uri"])
        is_watched = report_path() is None and "MLFLOW_RUN_ID" not in os.environ
        self._missing = address if is_watched and not answers(address) else ""
        if self._missing:
            loader["mlflow"] = loader["mlflow"] | {"server": server | {"mlflow_tracking_uri": NOWHERE}}
        self._env = context.env or ""
        super().after_context_created(context)
        if self._missing:
            # MLflow has written NOWHERE there. The next session and child processes need the address.
            os.environ["MLFLOW_TRACKING_URI"] = self._missing

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Start a run with a name, its command, and a tag per fact of the parameter `cause`.

        Raises:
            RegistryUnavailableError: the registry doesn't answer.
        """
        if self._missing:
            raise RegistryUnavailableError(
                f"No registry answers at {self._missing}. Start one with `make ui`, or use `make train`, "
                "which starts its own; MLFLOW_TRACKING_URI names another."
            )
        names = {*(run_params.get("pipeline_names") or ())} - {"__default__"}
        what = "+".join(sorted(names)) or "training"
        env = "" if self._env in {"", "local"} else f" ({self._env})"
        settings = self.mlflow_config.tracking.run
        settings.name = settings.name or f"{what}{env} {datetime.now().astimezone():%Y-%m-%d %H:%M}"
        super().before_pipeline_run(run_params=run_params, pipeline=pipeline, catalog=catalog)
        if mlflow.active_run() is None:
            return
        mlflow.set_tag(_COMMAND, _command(run_params, self._env))
        cause = run_params["runtime_params"].get(CAUSE)
        if isinstance(cause, dict):
            mlflow.set_tags({f"{CAUSE}.{fact}": str(value) for fact, value in cause.items()})

    @hook_impl
    def before_node_run(
        self,
        node: Node,
        catalog: DataCatalog,
        inputs: dict[str, Any],
        is_async: bool,  # noqa: FBT001 - Kedro's
    ) -> None:
        """Log the fields of every parameter group that the node reads, one by one."""
        typed = {
            name.removeprefix("params:"): value
            for name, value in inputs.items()
            if name.startswith("params:") and isinstance(value, BaseModel)
        }
        others = {name: value for name, value in inputs.items() if name.removeprefix("params:") not in typed}
        super().before_node_run(node=node, catalog=catalog, inputs=others, is_async=is_async)
        if mlflow.active_run() is not None:
            for name, value in typed.items():
                fields = _flat(name, value.model_dump())
                mlflow.log_params({_REFUSED.sub("_", field): each for field, each in fields})

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: object) -> None:
        """Log the raw tables as the run's inputs, by name and digest."""
        if dataset_name == _DIGESTS and isinstance(data, dict) and mlflow.active_run() is not None:
            for name, digest in data.items():
                source = CodeDatasetSource(tags={"file": name, "sha256": digest})
                table = MetaDataset(  # type: ignore[abstract]  # MLflow's own example does it
                    source, name=name, digest=str(digest)[:_DIGEST_CHARACTERS]
                )
                mlflow.log_input(table, context="training")


def answers(address: str) -> bool:
    """Whether anything listens at `address`; a file or a database always does."""
    if not address.startswith(("http://", "https://")):
        return True
    try:
        requests.get(f"{address.rstrip('/')}/health", timeout=_PROBE_SECONDS)
    except requests.exceptions.SSLError:
        return True  # MLflow has its own settings for certificates
    except requests.ConnectionError:
        return False
    except requests.RequestException:
        pass
    return True


def _command(run_params: Mapping[str, Any], env: str) -> str:
    """Return the command that repeats a run; kedro-mlflow's own lacks parameters and has old options."""
    lists = {name: run_params.get(key) or () for name, key in _LISTS.items()}
    lists["pipelines"] = {*lists["pipelines"]} - {"__default__"}
    given = {name: value for name, value in run_params["runtime_params"].items() if name != CAUSE}
    lists["params"] = [f"{name}={'null' if value is None else value}" for name, value in _flat("", given)]
    options = {"env": env} | {name: ",".join(sorted(each)) for name, each in lists.items()}
    return shlex.join(["kedro", "run", *(f"--{name}={value}" for name, value in options.items() if value)])


def _flat(name: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield nested fields with dotted names."""
    if isinstance(value, dict) and (value or not name):
        for key, field in value.items():
            yield from _flat(f"{name}.{key}" if name else key, field)
    else:
        yield name, value
