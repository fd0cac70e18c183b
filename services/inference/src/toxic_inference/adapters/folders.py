"""Folders that the service needs to write to.

Invariant: a disk that refuses shows at the start, not with the first file.
"""

import os
import tempfile
from pathlib import Path

from toxic_core.errors import ConfigurationError

_PROBE_BYTES = 64 * 1024


def check_writable(folder: Path, *, setting: str) -> None:
    """Make `folder` if it is missing, and check that it is writable.

    Args:
        folder: for the files.
        setting: which names it, for the message.

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
            "one that can."
        ) from error
