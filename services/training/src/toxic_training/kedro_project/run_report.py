"""A run's report to the server that started it: a small JSON file with its progress.

Invariant: a reader gets a complete report or none.
"""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from toxic_core.files import replacing

REPORT_VARIABLE = "TRAINING_RUN_REPORT"
"""Environment variable with the path of a run's report; set by the server."""

CAUSE = "cause"
"""The runtime parameter that holds why the run was started."""


class RunReport(BaseModel):
    """A run's progress: its ids in MLflow, its current node and number of nodes, and its error."""

    model_config = ConfigDict(frozen=True)

    experiment_id: str | None = None
    mlflow_run_id: str | None = None
    step: int = 0
    steps: int = 0
    node: str | None = None
    error_type: str | None = None
    error: str | None = None


def report_path() -> Path | None:
    """Return the path of this process's report, or None if no server started it."""
    path = os.environ.get(REPORT_VARIABLE)
    return Path(path) if path else None


def read_report(path: Path) -> RunReport:
    """Return the latest report; an empty one if there is none yet."""
    try:
        return RunReport.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return RunReport()


def write_report(path: Path, report: RunReport) -> None:
    """Replace the report atomically."""
    with replacing(path) as partial:
        partial.write_text(report.model_dump_json(), encoding="utf-8")
