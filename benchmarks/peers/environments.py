"""The peers' own environments, made with uv from pinned requirements.

Invariant: an environment that is there is whole; it is made again when its requirements change.
"""

import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from benchmarks.peers.contenders import HERE, interpreter
from toxic_core.errors import ToxicError

_MARK = "requirements.sha256"
_SHOWN_CHARACTERS = 600


class InstallError(ToxicError):
    """A peer's environment can't be made."""


def make_environment(name: str, *, cache: Path) -> None:
    """Make a peer's environment if it is missing.

    Raises:
        InstallError: uv couldn't; with its last words.
    """
    requirements = HERE / name / "requirements.txt"
    digest = sha256(requirements.read_bytes()).hexdigest()
    folder = cache / name
    mark = folder / _MARK
    if mark.is_file() and mark.read_text(encoding="ascii") == digest:
        return
    print(f"{name}: making its environment in {folder}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    _uv(name, "venv", "--quiet", "--python", "3.11", str(folder))
    python = str(interpreter(name, cache=cache))
    _uv(name, "pip", "install", "--quiet", "--python", python, "--requirement", str(requirements))
    mark.write_text(digest, encoding="ascii")


def _uv(name: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "uv", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise InstallError(f"{name} can't be installed: {done.stderr.strip()[-_SHOWN_CHARACTERS:]}")
