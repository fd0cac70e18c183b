"""Where this project's runs are kept in MLflow."""

from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from toxic_training.__main__ import PROJECT


def experiment_id() -> str:
    """Return the id of the experiment that `conf/base/mlflow.yml` names, made where there is none.

    MLflow's address is the one that the file names from now on.
    """
    bootstrap_project(PROJECT)
    with KedroSession.create(project_path=PROJECT) as session:
        mlflow_config = session.load_context().mlflow  # type: ignore[attr-defined]  # kedro-mlflow sets it
        found: str = mlflow_config.tracking.experiment._experiment.experiment_id  # noqa: SLF001 - has no other
    return found
