"""Finds the Git revision of the code that trains a model."""

import os
import shutil
import subprocess
from pathlib import Path

REVISION_VARIABLE = "TOXIC_CODE_REVISION"
"""Environment variable with the revision, for code outside Git, such as in a container image."""

UNKNOWN = "unknown"


def code_revision(folder: Path) -> str:
    """Return the Git commit of `folder`, with `-dirty` if files differ from it.

    Outside Git, return TOXIC_CODE_REVISION, or `unknown`.
    """
    configured = os.environ.get(REVISION_VARIABLE) or UNKNOWN
    git = shutil.which("git")
    if git is None:
        return configured
    command = [git, "-C", str(folder), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed arguments
    return result.stdout.strip() or configured
