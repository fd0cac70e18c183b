"""The training server's configuration, from environment variables that begin with `TRAINING_`.

Invariant: built once, at the edge of the process; nothing here reads the environment when it is imported.
"""

import os

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


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
    log_level: str = Field(default="INFO", description="Lowest level that is logged.")
