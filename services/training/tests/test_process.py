"""What a run takes from the folder that it was started in."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SHOW = """
import os, sys
sys.argv = ["toxic-training", "server"]
from toxic_training.kedro_project.process import prepare
prepare()
print(os.environ["TRAINING_FEEDBACK_URL"])
"""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("sqlite:///var/feedback.db", "sqlite:///{folder}/var/feedback.db"),
        ("sqlite:////var/feedback.db", "sqlite:////var/feedback.db"),
        ("http://127.0.0.1:8001", "http://127.0.0.1:8001"),
    ],
)
def test_a_relative_database_is_in_the_caller_s_folder(tmp_path: Path, given: str, expected: str) -> None:
    """Kedro runs in the project's folder, so the address is made absolute before."""
    environment = os.environ | {"TRAINING_FEEDBACK_URL": given}
    command = [sys.executable, "-c", SHOW]
    found = subprocess.run(
        command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    ).stdout
    assert found.strip() == expected.format(folder=tmp_path.resolve())
