"""Commands of this project: `kedro server start` starts our server; `kedro open-run` is for schedulers.

Invariant: an option that is given wins over the environment variable.
"""

import sys
from typing import Any

import click
from pydantic import ValidationError
from pydantic_settings import SettingsError

from toxic_core.settings import name_faults


@click.group(name="toxic-training")
def cli() -> None:
    """Commands of this project."""


@cli.group()
def server() -> None:
    """Run pipelines on request over HTTP."""


@server.command()
@click.option("--host", "-H", help="Address to listen on (TRAINING_HOST; 127.0.0.1).")
@click.option("--port", "-p", type=int, help="Port to listen on (TRAINING_PORT; 8002).")
@click.option("--env", "-e", help="Kedro's configuration environment of every run (TRAINING_ENV).")
def start(host: str | None, port: int | None, env: str | None) -> None:
    """Start Kedro's HTTP server with one run at a time, each in a process of its own."""
    # Imported late: every command of Kedro imports this module.
    from toxic_training.server.serve import serve  # noqa: PLC0415
    from toxic_training.server.settings import Settings  # noqa: PLC0415

    options: dict[str, Any] = {"host": host, "port": port, "env": env}
    try:
        settings = Settings(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        sys.exit(f"error: settings can't be used: {name_faults(error, prefix='TRAINING_')}")
    except SettingsError as error:
        sys.exit(f"error: settings can't be used: {error}; it takes JSON.")
    serve(settings)


@cli.command()
@click.argument("name")
def open_run(name: str) -> None:
    """Start a run in MLflow and print its id, for runs of Kedro that are to be one there.

    Each of those is told by the environment variable MLFLOW_RUN_ID. NAME, the scheduler's own, becomes the
    tag `scheduled_as`, since kedro-mlflow names runs after pipelines.
    """
    # Imported late: every command of Kedro imports this module.
    from mlflow import MlflowClient  # noqa: PLC0415

    from toxic_training.kedro_project.tracking import experiment_id  # noqa: PLC0415

    click.echo(MlflowClient().create_run(experiment_id(), tags={"scheduled_as": name}).info.run_id)
