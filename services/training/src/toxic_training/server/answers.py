"""The JSON answers about runs.

Invariant: the answer to `POST /run` has every field of Kedro's own answer, under the same names.
"""

from typing import Self

from pydantic import AwareDatetime, BaseModel, Field

from toxic_training.retraining.policy import Refusal
from toxic_training.server.runs import RunRecord, RunState, Trigger


class Failure(BaseModel):
    """Why a run failed."""

    type: str = Field(description="The error's class.")
    message: str = Field(description="What is wrong, and what to do.")


class RunAnswer(BaseModel):
    """The current state of a run."""

    run_id: str = Field(description="The run's id at this server.")
    status: RunState
    pipelines: list[str]
    trigger: Trigger = Field(description="What started it: a request, or an alert.")
    started_at: AwareDatetime
    duration_ms: float | None = Field(description="How long it took; null while it runs.")
    step: int = Field(description="Number of nodes that have begun.")
    steps: int = Field(description="Number of nodes; 0 before the first.")
    node: str | None = Field(description="The node that runs, or ran last.")
    mlflow_run_id: str | None = Field(description="The run's id in MLflow, once it has one.")
    mlflow_run_url: str | None = Field(description="The run's page in MLflow.")
    error: Failure | None = None

    @classmethod
    def of(cls, run: RunRecord, *, mlflow_page: str) -> Self:
        """Return the answer for `run`; `mlflow_page` is MLflow's address for people."""
        report = run.report
        duration = (run.ended_at - run.started_at).total_seconds() * 1000 if run.ended_at else None
        page = f"{mlflow_page.rstrip('/')}/#/experiments/{report.experiment_id}/runs/{report.mlflow_run_id}"
        return cls(
            run_id=run.run_id,
            status=run.state,
            pipelines=list(run.pipelines),
            trigger=run.trigger,
            started_at=run.started_at,
            duration_ms=duration,
            step=report.step,
            steps=report.steps,
            node=report.node,
            mlflow_run_id=report.mlflow_run_id,
            mlflow_run_url=page if report.mlflow_run_id else None,
            error=Failure(type=report.error_type or "", message=report.error) if report.error else None,
        )


class AlertAnswer(BaseModel):
    """The result of a notification. Alertmanager reads only the HTTP status."""

    started: bool = Field(description="Whether a run was started.")
    refusal: Refusal | None = Field(description="Why no run was started; null if one was.")
    message: str = Field(description="The reason, for people.")
    run: RunAnswer | None = None


class Problem(BaseModel):
    """A refusal, for programs and for people."""

    code: str
    message: str


class ProblemAnswer(BaseModel):
    """A refusal, with the run that caused it."""

    error: Problem
    run: RunAnswer | None = None
