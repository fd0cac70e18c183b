"""Training, a task for each part of the pipeline, all of them one run in MLflow.

Made by `make dag` from the Kedro pipelines and infra/airflow/dag.py.j2; change those.

A worker needs training's program (TOXIC_TRAINING names it if it isn't `toxic-training`), the variable
MLFLOW_TRACKING_URI, and TOXIC_DATA_DIR: one folder that all workers share, because tasks exchange files. A
retried training continues from its checkpoint.
"""

from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param

TRAINING = "${TOXIC_TRAINING:-toxic-training}"

with DAG(
    dag_id="toxic-training",
    description="Trains, evaluates and registers a version; promotes nothing",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,  # they would write the same files
    default_args={"retries": 1, "retry_delay": timedelta(minutes=5)},
    params={
        "arguments": Param(
            "",
            type="string",
            description="More arguments of `kedro run`, such as --params modelling.epochs=1",
        )
    },
) as dag:
    open_run = BashOperator(task_id="open_run", bash_command=f"{TRAINING} open-run '{{{{ run_id }}}}'")

    def part(name: str) -> BashOperator:
        """Return the task that runs one part of the pipeline."""
        return BashOperator(
            task_id=name,
            bash_command=f"{TRAINING} run --namespaces {name} $TOXIC_TRAINING_ARGUMENTS",
            env={
                "MLFLOW_RUN_ID": "{{ ti.xcom_pull(task_ids='open_run') }}",
                "TOXIC_TRAINING_ARGUMENTS": "{{ params.arguments }}",
            },
            append_env=True,
        )

    tasks = {
        "data_processing": part("data_processing"),
        "evaluation": part("evaluation"),
        "modelling": part("modelling"),
        "registration": part("registration"),
        "reporting": part("reporting"),
    }
    open_run >> tasks["data_processing"]
    tasks["data_processing"] >> tasks["evaluation"]
    tasks["modelling"] >> tasks["evaluation"]
    tasks["data_processing"] >> tasks["modelling"]
    tasks["data_processing"] >> tasks["registration"]
    tasks["evaluation"] >> tasks["registration"]
    tasks["evaluation"] >> tasks["reporting"]
