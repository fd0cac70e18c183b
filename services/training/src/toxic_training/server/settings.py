"""The training server's configuration, from environment variables that begin with `TRAINING_`.

Invariant: built once, at the edge of the process; nothing here reads the environment when it is imported.
"""

import os
from datetime import timedelta
from pathlib import Path

from kedro.server.models import RunRequest
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from toxic_training.retraining.policy import Limits


def tracking_uri() -> str:
    """Return the address of MLflow's tracking server, as `conf/base/mlflow.yml` finds it."""
    return os.environ.get("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")


class Settings(BaseSettings):
    """Everything that an operator can choose about the training server."""

    model_config = SettingsConfigDict(env_prefix="TRAINING_", frozen=True, extra="ignore")

    host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 for every one.")
    port: int = Field(default=8002, ge=0, le=65535, description="TCP port to listen on; 0 for any free one.")
    env: str | None = Field(
        default=None, description="Kedro's configuration environment of every run, such as demo."
    )
    mlflow_page: str = Field(
        default_factory=tracking_uri,
        description="MLflow's address for people, in links to runs; MLFLOW_TRACKING_URI by default.",
    )
    keep_runs: int = Field(default=50, ge=1, description="Runs whose outcome is remembered until a restart.")
    stop_grace_seconds: float = Field(
        # Less than the ten seconds that containers and the local stack leave.
        default=8.0,
        gt=0,
        description="How long a stopped run may take to end before it is killed.",
    )
    state_dir: Path = Field(
        default=Path("../../var/training"),
        description="Where it is kept which alerts started a run, so that a restart keeps to the limits.",
    )
    alert_token: SecretStr = Field(
        default=SecretStr(""),
        description="What Alertmanager must send as a bearer token to POST /alerts; without one that route "
        "is off, and no alert starts a training.",
    )
    retrain_cool_down_hours: float = Field(
        default=6.0, ge=0, description="Shortest time from one run that alerts started to the next."
    )
    retrain_daily_runs: int = Field(
        default=2, ge=0, description="Most runs that alerts start within any 24 hours; 0 for none."
    )
    retrain_dry_run: bool = Field(
        default=False, description="Whether alerts only log, and count, the runs that they would start."
    )
    retrain_request: RunRequest = Field(
        default_factory=RunRequest,
        description="What an alert's run does, as the JSON that POST /runs takes; the default pipeline "
        'otherwise. For instance {"params": {"modelling": {"max_train_minutes": 20}}}.',
    )
    log_level: str = Field(default="INFO", description="Lowest level that is logged.")

    @property
    def limits(self) -> Limits:
        """How often alerts may start a run."""
        return Limits(
            cool_down=timedelta(hours=self.retrain_cool_down_hours),
            daily_runs=self.retrain_daily_runs,
            dry_run=self.retrain_dry_run,
        )
