"""One child process and everything it starts.

Invariant: a child leads a process group of its own, which the terminal's Ctrl-C doesn't reach, and `stop`
ends the whole group: politely, then by force. Should this process be killed outright, Linux ends the leaders.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from toxic_local.errors import CheckFailedError

STOP_GRACE_SECONDS = 10.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """What to start.

    Attributes:
        name: what messages call it.
        command: the program and its arguments.
        environment: its whole environment.
        log: file that its output is appended to; None for this process's own output.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path | None = None


class ManagedProcess:
    """A running child. Not thread-safe: it belongs to the thread that started it.

    Raises:
        CheckFailedError: there is no such program.
    """

    def __init__(self, spec: ProcessSpec) -> None:
        self.spec = spec
        try:
            if spec.log:
                spec.log.parent.mkdir(parents=True, exist_ok=True)
            with spec.log.open("ab") if spec.log else nullcontext() as output:
                self._process = subprocess.Popen(  # noqa: S603  the stack's own programs, or the user's own
                    list(spec.command),
                    env=dict(spec.environment),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT if output else None,
                    start_new_session=True,
                    preexec_fn=_end_with(os.getpid()),  # noqa: PLW1509  no other thread runs at this point
                )
        except OSError as error:
            raise CheckFailedError(f"{spec.command[0]} can't be run ({error.strerror}).") from error

    @property
    def pid(self) -> int:
        """The process's id, and its group's."""
        return self._process.pid

    def status(self) -> int | None:
        """Return the exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    def stop(self, *, grace_seconds: float = STOP_GRACE_SECONDS) -> int:
        """End the group and return the leader's exit status; what is left after the grace is killed."""
        if self.status() is None:
            self._signal_group(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(grace_seconds)
        # Also if the leader is gone, because it may have left processes behind.
        self._signal_group(signal.SIGKILL)
        return self._process.wait()

    def _signal_group(self, signum: int) -> None:
        with suppress(ProcessLookupError, PermissionError):  # macOS: not permitted once the group is empty
            os.killpg(self.pid, signum)


def last_lines(path: Path, *, count: int = 15) -> tuple[str, ...]:
    """Return the end of a log; empty without one."""
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            return tuple(line.rstrip("\n") for line in deque(lines, maxlen=count))
    except FileNotFoundError:
        return ()


def _end_with(parent: int) -> Callable[[], None] | None:
    """Make a child's preparation that has Linux end it when its parent is gone, however that came."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return prepare
