"""Training as Airflow's DAG: by Airflow itself, which has an environment of its own."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from toxic_testing.forking import quick_python
from toxic_testing.registry import RegistryProcess, copy_tables
from toxic_testing.training import SMALLEST

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
AIRFLOW = ROOT / "infra" / "airflow"
MODEL = "toxic-comments"
DATABASE = "airflow.db"
"""Airflow's name of it in its home."""
PARTS = ["data_processing", "modelling", "evaluation", "reporting", "registration"]


def _run(*command: str | Path, environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


@pytest.fixture(scope="module")
def airflow() -> Path:
    """Airflow's program beside an empty database of its own; they take a minute, once for each lock."""
    lock = AIRFLOW / "requirements.txt"
    folder = ROOT / "var" / "environments" / f"airflow-{sha256(lock.read_bytes()).hexdigest()[:12]}"
    if not (folder / DATABASE).exists():
        uv = (sys.executable, "-m", "uv")
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        _run(*uv, "venv", "--quiet", "--clear", "--python", version, folder)
        _run(*uv, "pip", "install", "--quiet", "--python", folder / "bin" / "python", "-r", lock)
        home = folder / "home"
        _run(folder / "bin" / "airflow", "db", "migrate", environment={"AIRFLOW_HOME": str(home)})
        (home / DATABASE).rename(folder / DATABASE)
    return folder / "bin" / "airflow"


@pytest.fixture(scope="module")
def environment(airflow: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Airflow's own settings, and its database with the DAG."""
    home = tmp_path_factory.mktemp("airflow")
    shutil.copyfile(airflow.parents[1] / DATABASE, home / DATABASE)
    variables = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(AIRFLOW / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    _run(airflow, "dags", "reserialize", environment=variables)
    return variables


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """A real registry."""
    process = RegistryProcess({"REGISTRY_STATE_DIR": str(tmp_path_factory.mktemp("registry"))})
    process.wait_until_ready()
    yield process
    process.kill()


def test_the_dag_is_that_of_the_pipelines(tmp_path: Path) -> None:
    """The file in the repository is what `make dag` writes."""
    words = ("airflow", "create", "--group-by", "namespace", "--jinja-file", AIRFLOW / "dag.py.j2")
    (folder := tmp_path / "dags").mkdir()
    _run(
        *(quick_python("training"), "-m", "toxic_training", *words, "--target-dir", folder),
        environment={"MLFLOW_TRACKING_URI": copy_tables(tmp_path / "mlflow.db")},
    )
    (made,) = folder.iterdir()
    assert (AIRFLOW / "dags" / made.name).read_text() == made.read_text(), "stale; run `make dag`"


def test_airflow_imports_it(airflow: Path, environment: dict[str, str]) -> None:
    """Without an error, and with every part of the pipeline."""
    assert "No data found" in _run(airflow, "dags", "list-import-errors", environment=environment)
    tasks = _run(airflow, "tasks", "list", "toxic-training", environment=environment)
    assert {"open_run", *PARTS} <= set(tasks.split())


@pytest.mark.e2e
def test_its_tasks_run_in_order_and_register_a_challenger(
    airflow: Path, environment: dict[str, str], registry: RegistryProcess, tmp_path: Path
) -> None:
    """Each in a process of its own, which has from the others only files; in MLflow they are one run."""
    told = _run(
        *(
            airflow,
            "dags",
            "test",
            "toxic-training",
            "--conf",
            json.dumps({"arguments": f"--env demo --params {SMALLEST}"}),
        ),
        environment={
            **environment,
            "MLFLOW_TRACKING_URI": registry.uri,
            "MLFLOW_REGISTRY_URI": registry.uri,
            "TOXIC_DEMO_DIR": str(tmp_path / "data"),
            "TOXIC_TRAINING": f"{quick_python('training')} -m toxic_training",
        },
    )
    ended = re.findall(r"end task task_id=(\w+)", told)
    assert ended[:4] == ["open_run", *PARTS[:3]]
    assert sorted(ended[4:]) == ["registration", "reporting"]

    client = MlflowClient(registry.uri, registry.uri)
    version = client.get_model_version_by_alias(MODEL, "challenger")
    experiment = client.get_experiment_by_name(MODEL)
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert version.run_id == run.info.run_id
    assert run.info.status == "FINISHED"
    assert run.data.tags["scheduled_as"].startswith("manual__")
    assert {
        "data.rows.training",
        "training.steps",
        "evaluation.test.toxic.all.auc",
    } <= run.data.metrics.keys()
