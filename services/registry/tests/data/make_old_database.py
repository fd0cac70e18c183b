"""Make the databases of an old MLflow for the test of the upgrade.

    uv venv old && uv pip install --python old/bin/python mlflow==3.0.0 'sqlalchemy==2.0.41' psycopg2-binary
    old/bin/python make_old_database.py sqlite:///old.db && sqlite3 old.db .dump > mlflow-3.0.0.sqlite.sql
    old/bin/python make_old_database.py postgresql://…/old
    pg_dump --inserts --no-owner …/old > mlflow-3.0.0.postgresql.sql

3.0.0 is the oldest MLflow 3 that installs. The content is small: a run with a metric, a registered model with
two versions, and `champion` on the second, as in a registry from before the gate.
The default experiment's folder, a path of the machine it ran on, was replaced by `mlflow-artifacts:/0`, and
psql's own commands, which begin with a backslash, were taken out.

Runs on MLflow 3.0.0 without this repository's packages.
"""

import sys

from mlflow.tracking import MlflowClient


def main(uri: str) -> None:
    """Fill the database at `uri`."""
    client = MlflowClient(uri, uri)
    experiment = client.create_experiment("old", artifact_location="mlflow-artifacts:/1")
    run = client.create_run(experiment)
    client.log_metric(run.info.run_id, "auc", 0.93)
    client.create_registered_model("toxic-comments")
    for number in ("1", "2"):
        client.create_model_version("toxic-comments", f"{run.info.artifact_uri}/model", run.info.run_id)
        client.set_model_version_tag("toxic-comments", number, "encoder", "tiny")
    client.set_registered_model_alias("toxic-comments", "champion", "2")


if __name__ == "__main__":
    main(sys.argv[1])
