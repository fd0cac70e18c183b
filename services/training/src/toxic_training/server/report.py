"""What the server and a run tell each other: why it was started, and, in a small JSON file, where it stands.

Invariant: whoever reads the file gets a whole report, or none.
"""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict

REPORT_VARIABLE = "TRAINING_RUN_REPORT"
"""Environment variable that names a run's report; set by the server."""

CAUSE = "cause"
"""The run's parameter that says why it was started."""


class RunReport(BaseModel):
    """Where a run stands.

    Attributes:
        experiment_id: of its MLflow run, once there is one.
        mlflow_run_id: likewise.
        step: how many nodes have begun.
        steps: how many there are.
        node: the one that runs, or ran last.
        error_type: why it failed, by class.
        error: why it failed, and what to do.
    """

    model_config = ConfigDict(frozen=True)

    experiment_id: str | None = None
    mlflow_run_id: str | None = None
    step: int = 0
    steps: int = 0
    node: str | None = None
    error_type: str | None = None
    error: str | None = None


def report_path() -> Path | None:
    """Return where this process is to report, if anywhere."""
    path = os.environ.get(REPORT_VARIABLE)
    return Path(path) if path else None


def read_report(path: Path) -> RunReport:
    """Return the last report; an empty one where there is none yet."""
    try:
        return RunReport.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return RunReport()


def write_report(path: Path, report: RunReport) -> None:
    """Write under a temporary name, then rename."""
    partial = path.with_name(f".partial-{path.name}")
    partial.write_text(report.model_dump_json(), encoding="utf-8")
    partial.replace(path)
