"""What holds for the tests of every package, with modules that try it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

SETS_A_REGISTRY = """
import mlflow

def test_it(tmp_path):
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.set_registry_uri(f"sqlite:///{tmp_path}/mlflow.db")
"""

STARTS_A_SERVER = """
import subprocess
import sys

def test_it():
    told = (sys.executable, "-c", "import os; print([name for name in os.environ if name.endswith('_URI')])")
    assert subprocess.run(told, check=True, capture_output=True, text=True).stdout.strip() == "[]"
"""


def test_a_modules_registry_ends_with_it(tmp_path: Path) -> None:
    """A server that the next module starts doesn't inherit it, not even by one of MLflow's variables."""
    shutil.copy(ROOT / "conftest.py", tmp_path)
    (tmp_path / "test_a.py").write_text(SETS_A_REGISTRY)
    (tmp_path / "test_b.py").write_text(STARTS_A_SERVER)
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_URI")}
    told = subprocess.run(
        (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)),
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout
