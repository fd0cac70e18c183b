"""Checks at the start that a folder can be written to, and belongs to this process alone."""

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

from toxic_core.errors import ConfigurationError
from toxic_core.files import locked

_PROBE_BYTES = 64 * 1024


def check_writable(folder: Path, *, setting: str) -> None:
    """Create `folder` if it is missing, write a small file there and remove it.

    Args:
        folder: the folder that will be written to.
        setting: the environment variable that names it, for the message.

    Raises:
        ConfigurationError: it can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".partial-probe-") as probe:
            probe.write(bytes(_PROBE_BYTES))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        raise ConfigurationError(
            f"The folder {folder} can't be written: {error.strerror}. Free space there, or set {setting} to "
            "another folder."
        ) from error


def own(folder: Path, *, setting: str) -> ExitStack:
    """Lock `folder` for this process; closing the result, or the process's end, unlocks it.

    Args:
        folder: a folder that can be written to.
        setting: the environment variable that names it, for the message.

    Raises:
        ConfigurationError: another process has it.
    """
    owned = ExitStack()
    try:
        owned.enter_context(locked(folder))
    except OSError as error:
        raise ConfigurationError(
            f"The folder {folder} can't be locked: {error.strerror}. If another service uses it, set "
            f"{setting} to a folder for this one alone."
        ) from error
    return owned
