"""Hooks around every run: lock outputs, check names, raw files and the signing key, report progress.

Invariant: hooks never change what a pipeline computes.
"""

import logging
import time
from pathlib import Path

import mlflow
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import AbstractDataset, CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from toxic_core.errors import ConfigurationError, MissingDataError
from toxic_training.kedro_project.failures import explain
from toxic_training.kedro_project.locks import OutputLocks
from toxic_training.kedro_project.run_report import CAUSE, RunReport, report_path, write_report

Catalog = CatalogProtocol[AbstractDataset[object, object], AbstractDataset[object, object]]

logger = logging.getLogger(__name__)

RAW_PREFIX = "raw_"
WHERE_TO_GET = (
    "The files come from the competition 'Jigsaw Multilingual Toxic Comment Classification' on Kaggle; "
    "data/README.md lists them. Set TOXIC_DATA_DIR to the folder that contains 01_raw/."
)


GROUPS = frozenset({"data", "corrections", "modelling", "evaluation", "registration", "text_column"})
"""The groups of parameters in `conf/`."""

OPTIONS = frozenset({"in", "out", "encoding", "delimiter", "bundle", "version", CAUSE})
"""Parameters that only a command line or the training server gives."""


class ParameterNamesHook:
    """Refuses parameters of a command line that belong to no group, which Kedro would ignore."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Raise ConfigurationError with the unknown names and the valid ones."""
        given = getattr(context.config_loader, "runtime_params", None) or {}
        unknown = sorted(str(name) for name in given if name not in GROUPS | OPTIONS)
        if unknown:
            raise ConfigurationError(
                f"Unknown parameters: {', '.join(unknown)}. A parameter begins with the name of its group, "
                f"such as modelling.epochs; the groups are {', '.join(sorted(GROUPS))}. "
                f"Commands also take {', '.join(sorted(OPTIONS - {CAUSE}))}."
            )


class RawDataHook:
    """Fails a run before its first node if a raw file is missing."""

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: Catalog) -> None:
        """Raise MissingDataError with each missing file of the raw tables, and where to get it."""
        missing = []
        for name in sorted(pipeline.inputs()):
            dataset = catalog.get(name) if name.startswith(RAW_PREFIX) else None
            if dataset is not None and not dataset.exists():
                missing.append(Path(str(dataset._describe()["filepath"])))  # noqa: SLF001 - Kedro has no other
        if missing:
            if mlflow.active_run() is not None:
                # Kedro reports no error of this hook to the others, so the run would end as finished.
                mlflow.end_run("FAILED")
            names = ", ".join(sorted({path.name for path in missing}))
            raise MissingDataError(f"{names} not found in {missing[0].parent.resolve()}. {WHERE_TO_GET}")


class LocksHook:
    """Fails a run before its first node if another run is writing the same files."""

    _data: Path  # known before any run, because Kedro creates the context first

    def __init__(self) -> None:
        self._locks = OutputLocks()

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember the folder of the data layers."""
        self._data = context.project_path / context.config_loader["globals"]["data"]

    @hook_impl(tryfirst=True)  # a run that can't start must not appear in MLflow
    def before_pipeline_run(self, pipeline: Pipeline, catalog: Catalog) -> None:
        """Lock the files that the run writes or fetches, or raise RunInProgressError."""
        paths = []
        outputs = pipeline.all_outputs()
        for name in outputs | pipeline.inputs():
            dataset = catalog.get(name)
            described = {} if dataset is None else dataset._describe()  # noqa: SLF001 - Kedro has no other
            is_file = "filepath" in described and described.get("protocol", "file") == "file"
            if is_file and (name in outputs or described.get("fetched")):
                paths.append(Path(str(described["filepath"])))
        self._locks.acquire(paths, data=self._data)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Release the locks."""
        self._locks.release()

    on_pipeline_error = after_pipeline_run


class SigningKeyHook:
    """Fails a run before its first node if it writes a bundle and the key for its signature can't be read."""

    @hook_impl(tryfirst=True)  # a run that can't start must not appear in MLflow
    def before_pipeline_run(self, pipeline: Pipeline, catalog: Catalog) -> None:
        """Read the key, if there is one, or raise ConfigurationError."""
        # Imported late: every command of Kedro imports this module.
        from toxic_training.kedro_project.datasets import BundleDataset  # noqa: PLC0415
        from toxic_training.release.bundle import read_signing_key  # noqa: PLC0415

        if any(isinstance(catalog.get(name), BundleDataset) for name in pipeline.all_outputs()):
            read_signing_key()


class ProgressHook:
    """Reports progress: in the log, and to the training server if it started this process."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._report = RunReport()
        self._started = 0.0

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Count the steps."""
        self._path, self._report = report_path(), RunReport()
        self._update(steps=len(pipeline.nodes))

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Report the step and the MLflow run."""
        self._started = time.monotonic()
        self._update(step=self._report.step + 1, node=node.short_name.lower().replace("_", " "))
        if (run := mlflow.active_run()) is not None:
            self._update(experiment_id=run.info.experiment_id, mlflow_run_id=run.info.run_id)
        self._log("…")

    @hook_impl
    def after_node_run(self) -> None:
        """Log how long the step took."""
        self._log(f"{time.monotonic() - self._started:.1f} s")

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """Report why the run failed."""
        self._update(error_type=type(error).__name__, error=explain(error) or f"{error}")

    def _update(self, **facts: object) -> None:
        self._report = self._report.model_copy(update=facts)
        if self._path is not None:
            write_report(self._path, self._report)

    def _log(self, what: str) -> None:
        report = self._report
        logger.info("[%d/%d] %s: %s", report.step, report.steps, report.node, what)
