"""Which code trained a model."""

import os
import shutil
import subprocess
from pathlib import Path

REVISION_VARIABLE = "TOXIC_CODE_REVISION"
"""Environment variable that says it where the code lies outside Git, such as in an image."""

UNKNOWN = "unknown"


def code_revision(folder: Path) -> str:
    """Return the Git commit of `folder`, with `-dirty` where files differ from it.

    Outside Git it is what `TOXIC_CODE_REVISION` says, or `unknown`.
    """
    told = os.environ.get(REVISION_VARIABLE) or UNKNOWN
    git = shutil.which("git")
    if git is None:
        return told
    command = [git, "-C", str(folder), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    return result.stdout.strip() or told
