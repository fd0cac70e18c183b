"""The project's own Kedro commands: `server start`, `open-run` for schedulers, `join` for workers.

Kedro finds this module by its name, `<package>.cli`, and imports it for every command.
"""

import sys
from typing import Any

import click
from kedro.framework.cli.utils import _split_params  # what `run` reads its own option with
from pydantic import ValidationError
from pydantic_settings import SettingsError

from toxic_core.registered import MODEL_NAME
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
def start(**options: Any) -> None:
    """Start Kedro's HTTP server. It runs one pipeline at a time, each in a child process."""
    # Imported late: every command of Kedro imports this module.
    from toxic_training.server.app import serve  # noqa: PLC0415
    from toxic_training.server.settings import Settings  # noqa: PLC0415

    try:
        settings = Settings(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        sys.exit(f"error: invalid settings: {name_faults(error, prefix='TRAINING_')}")
    except SettingsError as error:
        sys.exit(f"error: invalid settings: {error}; the variable takes JSON.")
    serve(settings)


@cli.command()
@click.argument("name")
def open_run(name: str) -> None:
    """Start a run in MLflow and print its id, for Kedro runs that share one MLflow run.

    Pass the id to each Kedro run as MLFLOW_RUN_ID. NAME, the scheduler's own name for the run, becomes the
    tag `scheduled_as`, because kedro-mlflow names runs after pipelines.
    """
    # Imported late: every command of Kedro imports this module.
    from kedro.framework.session import KedroSession  # noqa: PLC0415
    from kedro.framework.startup import bootstrap_project  # noqa: PLC0415
    from mlflow import MlflowClient  # noqa: PLC0415

    from toxic_training.kedro_project.process import PROJECT  # noqa: PLC0415
    from toxic_training.kedro_project.tracking import NOWHERE  # noqa: PLC0415
    from toxic_training.server.settings import tracking_uri  # noqa: PLC0415

    bootstrap_project(PROJECT)
    with KedroSession.create(project_path=PROJECT) as session:
        # Loading kedro-mlflow's configuration also sets MLflow's address.
        mlflow_config = session.load_context().mlflow  # type: ignore[attr-defined]  # kedro-mlflow sets it
        if mlflow_config.server.mlflow_tracking_uri == NOWHERE:
            sys.exit(f"error: no registry answers at {tracking_uri()}; start it, then try again.")
        experiment = mlflow_config.tracking.experiment._experiment  # noqa: SLF001 - has no public name
    run = MlflowClient().create_run(experiment.experiment_id, tags={"scheduled_as": name})
    click.echo(run.info.run_id)


@cli.command()
@click.option("--env", "-e", help="Kedro's configuration environment; the same as the chief's.")
@click.option("--params", default="", callback=_split_params, help="As for `run`; the same as the chief's.")
def join(env: str | None, params: dict[str, Any]) -> None:
    """Train as one of the workers that TF_CONFIG lists, on the data folder of the chief.

    The chief runs `toxic-training run` with a TF_CONFIG of its own, and saves the result. This command waits
    until the chief starts to train, and ends with it.
    """
    # Imported late: every command of Kedro imports this module.
    from kedro.framework.session import KedroSession  # noqa: PLC0415
    from kedro.framework.startup import bootstrap_project  # noqa: PLC0415

    from toxic_training.kedro_project.pipelines.modelling.nodes import train_as_worker  # noqa: PLC0415
    from toxic_training.kedro_project.pipelines.modelling.pipeline import TRAINING_INPUTS  # noqa: PLC0415
    from toxic_training.kedro_project.process import PROJECT  # noqa: PLC0415
    from toxic_training.modelling.processes import has_cluster, take_part  # noqa: PLC0415
    from toxic_training.modelling.workers import Workers  # noqa: PLC0415

    if not has_cluster():
        sys.exit("error: TF_CONFIG lists no workers; set it to the cluster and this process's task.")

    def train(workers: Workers) -> None:
        # Read after connecting: until the chief trains, it may still prepare them.
        bootstrap_project(PROJECT)
        with KedroSession.create(project_path=PROJECT, env=env, runtime_params=params) as session:
            catalog = session.load_context().catalog  # type: ignore[attr-defined]  # as above
        train_as_worker(
            workers, **{argument: catalog.load(name) for argument, name in TRAINING_INPUTS.items()}
        )

    take_part(train)


@cli.command()
@click.argument("correction")
@click.option("--model", default=MODEL_NAME, show_default=True, help="Name of the registered model.")
def trained_with(correction: str, model: str) -> None:
    """Print the versions that were trained with CORRECTION, the id of one, one version per line.

    A deleted correction is absent from the next training; these versions still have seen its text.
    """
    # Imported late: every command of Kedro imports this module.
    import mlflow  # noqa: PLC0415

    from toxic_training.release.model_version import versions_trained_with  # noqa: PLC0415
    from toxic_training.server.settings import tracking_uri  # noqa: PLC0415

    mlflow.set_tracking_uri(tracking_uri())
    for version in versions_trained_with(correction, model):
        click.echo(version)
