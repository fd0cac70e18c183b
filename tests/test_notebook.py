"""The notebook of docs/train.md runs, on the generated sample."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

NOTEBOOK = Path(__file__).resolve().parents[1] / "docs" / "notebooks" / "first-look.ipynb"


def test_the_notebook_runs_from_the_first_cell_to_the_last(tmp_path: Path) -> None:
    """It has errors by language and precision by threshold, and has no stored output."""
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] for cell in cells)
    program = "\n".join(["".join(cell["source"]) for cell in cells] + ["print(errors, thresholds)"])
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment | {"TOXIC_DEMO_DIR": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    for heading in ("false alarms", "precision"):
        assert heading in ran.stdout
