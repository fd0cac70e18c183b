"""What a run takes from the folder that it was started in."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from toxic_training.paths import STARTED_IN_VARIABLE

pytestmark = pytest.mark.slow

SHOW = """
import os, sys
sys.argv = ["toxic-training", "server"]
from toxic_training.kedro_project.process import prepare
prepare()
print(os.environ["TRAINING_FEEDBACK_URL"])
"""


SHOW_PATHS = """
import json, os, sys
sys.argv = ["toxic-training", "server"]
from toxic_training.kedro_project.process import prepare
from toxic_training.paths import from_start
prepare()
prepare()
given = {name: value for name, value in os.environ.items() if value.endswith(("given", "given-absolute"))}
print(json.dumps(given | {each: str(from_start(each)) for each in ("encoder", "/encoder")}))
"""
"""A process that a prepared process starts, such as a run of the training server, is prepared again."""


def test_relative_paths_are_in_the_caller_s_folder(tmp_path: Path) -> None:
    """Every variable with a path, and the paths in parameters; absolute ones stay."""
    variables = (
        "TOXIC_DATA_DIR",
        "TOXIC_DEMO_DIR",
        "TOXIC_SAMPLE_DIR",
        "TOXIC_BASELINE_DIR",
        "TOXIC_SIGNING_KEY_FILE",
    )
    given = dict.fromkeys(variables, "some/given") | {"TRAINING_STATE_DIR": "/some/given-absolute"}
    command = [sys.executable, "-c", SHOW_PATHS]
    found = subprocess.run(
        command, cwd=tmp_path, env=os.environ | given, check=True, capture_output=True, text=True
    ).stdout
    folder = tmp_path.resolve()
    assert json.loads(found) == {
        **dict.fromkeys(variables, f"{folder}/some/given"),
        "TRAINING_STATE_DIR": "/some/given-absolute",
        "encoder": f"{folder}/encoder",
        "/encoder": "/encoder",
    }


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


def test_a_command_in_a_shell_below_another_one_starts_anew(tmp_path: Path) -> None:
    """As in the shell of `kedro ipython`, whose own folder the environment has."""
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    inner.mkdir()
    program = (
        "import sys; sys.argv = ['toxic-training', 'server', '--help'];"
        "from toxic_training import __main__, paths;"
        "__main__.stopped_by_signals = lambda: sys.exit(str(paths.from_start('encoder'))); __main__.main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=inner,
        env=os.environ | {STARTED_IN_VARIABLE: str(outer)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.stderr.splitlines()[-1] == str(inner.resolve() / "encoder")
