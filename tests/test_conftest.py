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


STARTS_PROCESSES = """
import subprocess
import sys

def start():
    subprocess.run([sys.executable, "-c", ""], check=True)

def test_by_a_helper():
    start()

def test_by_name():
    subprocess.run(["python3", "-c", ""], check=True)

def test_without():
    pass
"""


def _pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(ROOT / "conftest.py", folder)
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_URI")}
    return subprocess.run(
        (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, str(folder)),
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_modules_registry_ends_with_it(tmp_path: Path) -> None:
    """A server that the next module starts doesn't inherit it, not even by one of MLflow's variables."""
    (tmp_path / "test_a.py").write_text(SETS_A_REGISTRY)
    (tmp_path / "test_b.py").write_text(STARTS_A_SERVER)
    ran = _pytest(tmp_path)
    assert ran.returncode == 0, ran.stdout


def test_the_fast_part_leaves_out_and_refuses_processes(tmp_path: Path) -> None:
    """What a test uses decides; a process that this misses fails its test with the remedy."""
    (tmp_path / "test_a.py").write_text(STARTS_PROCESSES)
    ran = _pytest(tmp_path, "-m", "not server")
    assert "1 failed, 1 passed, 1 deselected" in ran.stdout
    assert "test_by_name (call) starts python3: mark it with `server`" in ran.stdout
    assert _pytest(tmp_path).returncode == 0
