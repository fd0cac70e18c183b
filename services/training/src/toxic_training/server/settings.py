"""The training server's settings, from environment variables with the prefix `TRAINING_`."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from kedro.server.models import RunRequest
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from toxic_training.retraining.policy import Limits


def tracking_uri() -> str:
    """Return the address of MLflow's tracking server, by the same rule as `conf/base/mlflow.yml`."""
    return os.environ.get("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")


class Settings(BaseSettings):
    """The options of the training server."""

    model_config = SettingsConfigDict(
        env_prefix="TRAINING_", frozen=True, extra="ignore", env_ignore_empty=True
    )

    host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 for all interfaces.")
    port: int = Field(default=8002, ge=0, le=65535, description="TCP port to listen on; 0 for any free one.")
    env: str | None = Field(
        default=None, description="Kedro's configuration environment of every run, for example demo."
    )
    mlflow_page: str = Field(
        default_factory=tracking_uri,
        description="MLflow's address for people, in links to runs; MLFLOW_TRACKING_URI by default.",
    )
    keep_runs: int = Field(
        default=50, ge=1, description="Number of runs that are remembered until a restart."
    )
    stop_grace_seconds: float = Field(
        # Less than the ten seconds that containers and the local stack leave.
        default=8.0,
        gt=0,
        description="Time that a stopped run has to end before it is killed.",
    )
    state_dir: Path = Field(
        default=Path("../../var/training"),
        description="Folder for the history of runs that alerts started; it keeps the limits over restarts.",
    )
    token: SecretStr = Field(
        default=SecretStr(""),
        description="The bearer token that every request needs, except health, metrics and POST /alerts. "
        "Without one, no request starts or stops a run if TRAINING_HOST isn't a loopback address.",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Host names, comma-separated, that the server answers for, each with or without a port; "
        "* for any. By default names that aren't public, and with TRAINING_TOKEN every name.",
    )
    alert_token: SecretStr = Field(
        default=SecretStr(""),
        description="The bearer token that Alertmanager must send to POST /alerts; if empty, that route is "
        "disabled and no alert starts a training.",
    )
    retrain_cool_down_hours: float = Field(
        default=6.0, ge=0, description="Shortest time from one run that alerts started to the next."
    )
    retrain_daily_runs: int = Field(
        default=2, ge=0, description="Maximum number of runs that alerts start per 24 hours; 0 for none."
    )
    retrain_dry_run: bool = Field(
        default=False, description="Only log and count the runs that alerts would start."
    )
    retrain_request: RunRequest = Field(
        default_factory=RunRequest,
        description="The request of an alert's run, as the JSON that POST /runs takes; the default pipeline "
        'if it is empty. For example {"params": {"modelling": {"max_train_minutes": 20}}}.',
    )
    feedback_url: SecretStr = Field(
        default=SecretStr(""),
        description="Where every training reads moderators' corrections, `make train` and Airflow's too: the "
        "address of the inference service, or of its database as in INFERENCE_FEEDBACK_URL. If it is empty, "
        "they are read from `01_raw/feedback.csv`, if there is one.",
    )
    feedback_key: SecretStr = Field(
        default=SecretStr(""),
        description="An operator's API key of the inference service, to read corrections with.",
    )
    log_level: str = Field(default="INFO", description="Lowest level that is logged.")

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value

    @property
    def limits(self) -> Limits:
        """The limits on the runs that alerts start."""
        return Limits(
            cool_down=timedelta(hours=self.retrain_cool_down_hours),
            daily_runs=self.retrain_daily_runs,
            dry_run=self.retrain_dry_run,
        )
