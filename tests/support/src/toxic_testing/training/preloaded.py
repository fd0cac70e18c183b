"""What a run imports, prepared as `python -m toxic_training` does it; for `toxic_testing.forking`."""

import importlib
import sys

from toxic_training.kedro_project.process import prepare

sys.argv = ["toxic_training", "run"]
prepare()
for _name in (
    "kedro.framework.cli.cli",
    "kedro.server.http_server",
    "kedro_mlflow.framework.hooks.mlflow_hook",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "toxic_training.pipeline_registry",
    "toxic_training.settings",
    "toxic_training.server.app",
):
    importlib.import_module(_name)
