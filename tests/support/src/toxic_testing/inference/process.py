"""Python programs as processes of their own, with their logs.

A test that starts one ends it (`terminate` or `kill`); its output goes to a file, so that it never
blocks on a full pipe. Waiting means waiting for a line of that output.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TextIO

_LOOK_SECONDS = 0.01
_END_SECONDS = 60


class Logs:
    """The lines a process writes, in the order it writes them."""

    def __init__(self, process: subprocess.Popen[bytes], output: TextIO) -> None:
        self._process = process
        self._output = output
        self._begun = ""
        self.lines: list[str] = []

    def wait_for(self, text: str, *, seconds: float = 120.0) -> str:
        """Return the next line that holds `text`."""
        until = time.monotonic() + seconds
        while True:
            ended = self._process.poll() is not None  # asked first: what it wrote before is read below
            while line := self._next_line():
                self.lines.append(line)
                if text in line:
                    return line
            if ended or time.monotonic() > until:
                what = "ended" if ended else f"went on for {seconds:.0f} s"
                raise AssertionError(f"the process {what} without {text!r}:\n{''.join(self.lines)}")
            time.sleep(_LOOK_SECONDS)

    def _next_line(self) -> str:
        """Return a whole line, or an empty string."""
        self._begun += self._output.readline()
        if not self._begun.endswith("\n"):
            return ""
        line, self._begun = self._begun, ""
        return line


class Server:
    """A process of its own process group, with its logs; `python` runs its arguments."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        python: str = sys.executable,
    ) -> None:
        with NamedTemporaryFile() as written:
            flock(written, LOCK_EX)  # held until all who inherit the file have closed it
            self._output = Path(written.name).open(encoding="utf-8")  # noqa: SIM115  as long as the process
            self.process = subprocess.Popen(
                [python, *arguments],
                env={**os.environ, **environment},
                cwd=folder,
                stdout=written,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.logs = Logs(self.process, self._output)

    def terminate(self) -> int:
        """Send SIGTERM and return the exit status."""
        self.process.terminate()
        return self.process.wait(timeout=60)

    def kill(self) -> None:
        """End the whole group at once, and wait until no process has its output any more.

        A program that was forked ends a moment after its command, with its port and its locks.
        """
        if self._output.closed:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        until = time.monotonic() + _END_SECONDS
        while not self._is_released():
            if time.monotonic() > until:
                raise AssertionError(f"a process outlived its command by {_END_SECONDS} s: {self.logs.lines}")
            time.sleep(_LOOK_SECONDS)
        self._output.close()

    def _is_released(self) -> bool:
        try:
            flock(self._output, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return False
        return True
