"""What the Makefile passes to the programs, with a stand-in for Python in a folder whose name has a space."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("Makefile", "infra/telemetry.env", "infra/local/tools.sh")
EMPTY = ("requirements.in", "requirements-dev.in", "constraints.txt", "models/baseline/contract.json")
PACKAGES = ("models/weights/pyproject.toml", "services/one/pyproject.toml")
PYTHON = '#!/bin/sh\nprintf \'%s\\n\' "$@" "in $PWD" >>"$CALLS"\n'

Make = Callable[..., list[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the Makefile, and an environment that is up to date."""
    made = tmp_path / "my folder"
    for file in (*COPIED, *EMPTY, *PACKAGES):
        (made / file).parent.mkdir(parents=True, exist_ok=True)
        (made / file).touch()
    for file in COPIED:
        shutil.copy(ROOT / file, made / file)
    (made / ".venv" / "bin").mkdir(parents=True)
    (made / ".venv" / "bin" / "python").write_text(PYTHON)
    (made / ".venv" / "bin" / "python").chmod(0o755)
    (made / ".venv" / ".home").write_text(str(made))
    for stamp in (".installed", ".installed-dev"):
        (made / ".venv" / stamp).touch()
    return made


@pytest.fixture
def make(folder: Path, tmp_path: Path) -> Make:
    """Return a function that runs a target, and returns the words that Python got."""

    def run(*words: str) -> list[str]:
        calls = tmp_path / "calls"
        calls.write_text("")
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "CALLS": str(calls)}
        command = ["make", "--silent", *words]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return calls.read_text().splitlines()

    return run


def test_a_file_name_may_have_spaces(make: Make, folder: Path) -> None:
    """Relative names are of the folder of the Makefile; training's pipelines run in another one."""
    scored = make("score", "IN=my comments.csv", "OUT=/out/my scores.csv", "BUNDLE=my bundle")
    assert f"in={folder}/my comments.csv,out=/out/my scores.csv,bundle={folder}/my bundle" in scored
    assert f"bundle={folder}/my bundle" in make("evaluate", "BUNDLE=my bundle")
    assert "bundle=/my bundle" in make("evaluate", "BUNDLE=/my bundle")


def test_the_folder_of_the_checkout_may_have_a_space(make: Make, folder: Path) -> None:
    """Each path is one word to the programs."""
    wheels = make("wheels")
    assert wheels.count(f"{folder}/dist") == len(PACKAGES)
    assert {f"in {folder / package}".removesuffix("/pyproject.toml") for package in PACKAGES} <= set(wheels)
    dag = make("dag")
    assert {f"{folder}/infra/airflow/dag.py.j2", f"{folder}/infra/airflow/dags"} <= set(dag)
    for target in ("bench", "bench-batch"):
        assert f"{folder}/var/benchmarks/data/06_models/baseline/bundle" in make(target), target
