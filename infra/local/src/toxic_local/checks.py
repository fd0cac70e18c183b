"""What must hold on this machine before anything starts.

Invariant: a check changes nothing that lasts, and raises `CheckFailedError` with one line that names the
environment variable to turn.
"""

import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from toxic_local.errors import CheckFailedError

LOOPBACK = "127.0.0.1"
NEEDED_BYTES = 2 * 1024**3
_GIB = 1024**3


def check_port(port: int, *, needed_by: str, variable: str) -> None:
    """Make sure that `port` can be listened on.

    Args:
        port: on the loopback address.
        needed_by: the service that wants it.
        variable: the environment variable that chooses another.

    Raises:
        CheckFailedError: it can't.
    """
    advice = f"choose another with {variable}=…"
    # If a process listens on every address, macOS lets others bind the loopback address.
    with socket.socket() as probe:
        probe.settimeout(1)
        taken = probe.connect_ex((LOOPBACK, port)) == 0
    if taken:
        raise CheckFailedError(
            f"Port {port}, which {needed_by} needs, is taken; stop what listens there, or {advice}"
        )
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise CheckFailedError(
                f"Port {port}, which {needed_by} needs, can't be listened on ({error.strerror}); {advice}"
            ) from error


def check_installed(command: Sequence[str]) -> None:
    """Make sure that a command of the form `python -m MODULE …` finds its module.

    Raises:
        CheckFailedError: the package isn't installed beside this one.
    """
    if tuple(command[:2]) == (sys.executable, "-m") and find_spec(command[2]) is None:
        raise CheckFailedError(f"{command[2]} isn't installed; run: pip install 'toxic-local[stack]'")


def check_writable(folder: Path) -> None:
    """Make `folder` and write to it.

    Raises:
        CheckFailedError: one of the two fails.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise CheckFailedError(
            f"The state folder {folder} can't be written ({error.strerror}); "
            "choose another with TOXIC_STATE_DIR=…"
        ) from error


def check_disk(
    folder: Path,
    *,
    needed_bytes: int = NEEDED_BYTES,
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
) -> None:
    """Make sure that the disk of the existing `folder` has room.

    Raises:
        CheckFailedError: it hasn't.
    """
    free = free_bytes(folder)
    if free < needed_bytes:
        raise CheckFailedError(
            f"The disk of {folder} has {free / _GIB:.1f} GiB free, and {needed_bytes / _GIB:.0f} GiB are "
            "needed; make room, or choose a folder on another disk with TOXIC_STATE_DIR=…"
        )
