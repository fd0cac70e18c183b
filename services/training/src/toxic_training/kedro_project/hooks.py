"""What happens around every run: files locked, raw ones checked first, parameters logged, progress told.

Invariant: hooks never change what a pipeline computes.
"""

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import AbstractDataset, CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from pydantic import BaseModel

from toxic_core.errors import MissingDataError
from toxic_training.kedro_project.failures import explain
from toxic_training.kedro_project.locks import OutputLocks
from toxic_training.kedro_project.run_report import CAUSE, RunReport, report_path, write_report

Catalog = CatalogProtocol[AbstractDataset[object, object], AbstractDataset[object, object]]

logger = logging.getLogger(__name__)

RAW_PREFIX = "raw_"
WHERE_TO_GET = (
    "The files come from the competition 'Jigsaw Multilingual Toxic Comment Classification' on Kaggle; "
    "data/README.md lists them. TOXIC_DATA_DIR names the folder that holds 01_raw/."
)


class RawDataHook:
    """Fails a run before its first node where a raw file is missing."""

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: Catalog) -> None:
        """Look for the file of every raw table that the run reads.

        Raises:
            MissingDataError: naming each missing file, its folder, and where to get it.
        """
        missing = []
        for name in sorted(pipeline.inputs()):
            dataset = catalog.get(name) if name.startswith(RAW_PREFIX) else None
            if dataset is not None and not dataset.exists():
                missing.append(Path(str(dataset._describe()["filepath"])))  # noqa: SLF001 - Kedro has no other
        if missing:
            names = ", ".join(sorted({path.name for path in missing}))
            raise MissingDataError(f"{names} not found in {missing[0].parent.resolve()}. {WHERE_TO_GET}")


class LocksHook:
    """Fails a run before its first node where another one is writing the same files."""

    _data: Path  # known before any run: Kedro makes the context first

    def __init__(self) -> None:
        self._locks = OutputLocks()

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Learn which folder the layers lie in."""
        self._data = context.project_path / context.config_loader["globals"]["data"]

    @hook_impl(tryfirst=True)  # a run that can't start isn't to show in MLflow
    def before_pipeline_run(self, pipeline: Pipeline, catalog: Catalog) -> None:
        """Lock what the run writes.

        Raises:
            RunInProgressError: another run holds one of the locks.
        """
        datasets = (catalog.get(name) for name in pipeline.all_outputs())
        paths = [_local_path(dataset) for dataset in datasets if dataset is not None]
        self._locks.acquire(filter(None, paths), data=self._data)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Release the locks."""
        self._locks.release()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Release the locks."""
        self._locks.release()


class ParametersHook:
    """Logs typed parameters to MLflow one by one, so that runs can be searched and compared by them."""

    @hook_impl
    def before_node_run(self, inputs: dict[str, object]) -> None:
        """Log the fields of every parameter group that the node reads."""
        if mlflow.active_run() is None:
            return
        for name, value in inputs.items():
            if name.startswith("params:") and isinstance(value, BaseModel):
                prefix = name.removeprefix("params:")
                mlflow.log_params(dict(_flat(prefix, value.model_dump())))


class CauseHook:
    """Tags a run in MLflow with why it was started, where its parameters say so."""

    @hook_impl(trylast=True)  # kedro-mlflow's starts the MLflow run
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Set a tag for each fact that the parameter `cause` states."""
        cause = run_params["runtime_params"].get(CAUSE)
        if isinstance(cause, dict) and mlflow.active_run() is not None:
            mlflow.set_tags({f"{CAUSE}.{fact}": str(value) for fact, value in cause.items()})


class NarratorHook:
    """Tells which step runs and how long each took."""

    def __init__(self) -> None:
        self._total = 0
        self._done = 0
        self._started = 0.0

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Count the steps."""
        self._total, self._done = len(pipeline.nodes), 0

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Name the step."""
        self._started = time.monotonic()
        logger.info("[%d/%d] %s …", self._done + 1, self._total, _title(node))

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """Say how long the step took."""
        self._done += 1
        seconds = time.monotonic() - self._started
        logger.info("[%d/%d] %s: %.1f s", self._done, self._total, _title(node), seconds)


class RunReportHook:
    """Tells the server that started this process where the run stands; does nothing in any other process."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._report = RunReport()

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Count the steps."""
        self._path = report_path()
        self._tell(RunReport(steps=len(pipeline.nodes)))

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Name the step, and the MLflow run."""
        run = mlflow.active_run()
        now: dict[str, object] = {"step": self._report.step + 1, "node": _title(node)}
        if run is not None:
            now |= {"experiment_id": run.info.experiment_id, "mlflow_run_id": run.info.run_id}
        self._tell(self._report.model_copy(update=now))

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """Say why the run failed."""
        reason = explain(error) or f"{error}"
        self._tell(self._report.model_copy(update={"error_type": type(error).__name__, "error": reason}))

    def _tell(self, report: RunReport) -> None:
        self._report = report
        if self._path is not None:
            write_report(self._path, report)


def _local_path(dataset: AbstractDataset[object, object]) -> Path | None:
    """Return where a dataset lies on this machine; None for one that is elsewhere, or no file."""
    described = dataset._describe()  # noqa: SLF001 - Kedro has no other
    path = described.get("filepath")
    return Path(str(path)) if path is not None and described.get("protocol", "file") == "file" else None


def _flat(name: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict) and value:
        for key, field in value.items():
            yield from _flat(f"{name}.{key}", field)
    else:
        yield name, value


def _title(node: Node) -> str:
    return node.short_name.lower().replace("_", " ")
