"""Python programs as processes of their own, with their logs.

Invariant: whoever starts one ends it (`terminate` or `kill`); its output is read all the time, so that it
never blocks on a full pipe, and waiting means waiting for a line of that output.
"""

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path


class Logs:
    """The lines a process writes, as they come."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._queue: queue.Queue[str | None] = queue.Queue()
        self.lines: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101  opened below
        for line in self._process.stdout:
            self._queue.put(line)
        self._queue.put(None)

    def wait_for(self, text: str, *, seconds: float = 120.0) -> str:
        """Return the next line that holds `text`."""
        until = time.monotonic() + seconds
        while (line := self._queue.get(timeout=max(until - time.monotonic(), 0.01))) is not None:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"the process ended without {text!r}:\n{''.join(self.lines)}")


class Server:
    """A process of its own process group, with its logs."""

    def __init__(self, arguments: Sequence[str], *, environment: Mapping[str, str], folder: Path) -> None:
        self.process = subprocess.Popen(  # noqa: S603  our own modules
            [sys.executable, *arguments],
            env={**os.environ, **environment},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.logs = Logs(self.process)

    def terminate(self) -> int:
        """Send SIGTERM and return the exit status."""
        self.process.terminate()
        return self.process.wait(timeout=60)

    def kill(self) -> None:
        """End the whole group at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port
