"""Paths that users give: relative ones start from the folder in which the user started the program.

Kedro runs in the project's folder instead (`toxic_training.kedro_project.process`).
"""

import os
from pathlib import Path

STARTED_IN_VARIABLE = "TOXIC_TRAINING_STARTED_IN"
"""Environment variable with that folder. The program sets it for itself and the processes that it starts."""


def remember_start() -> None:
    """Remember the current folder, unless the process that started this one has remembered its own."""
    os.environ.setdefault(STARTED_IN_VARIABLE, str(Path.cwd()))


def forget_start() -> None:
    """Forget what another process remembered: a command that a user gives in its shell starts anew."""
    os.environ.pop(STARTED_IN_VARIABLE, None)


def from_start(path: str) -> Path:
    """Return a path that a user gave; without `remember_start`, it is relative to the current folder."""
    return Path(os.environ.get(STARTED_IN_VARIABLE, "")) / Path(path).expanduser()
