"""Which code trained a model."""

import shutil
import subprocess
from pathlib import Path

UNKNOWN = "unknown"


def code_revision(folder: Path) -> str:
    """Return the Git commit of `folder`, with `-dirty` where files differ from it; `unknown` outside Git."""
    git = shutil.which("git")
    if git is None:
        return UNKNOWN
    command = [git, "-C", str(folder), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    return result.stdout.strip() or UNKNOWN
