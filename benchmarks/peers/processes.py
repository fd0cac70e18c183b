"""A contender's processes: started, waited for, looked at, ended.

Invariant: every process that was started, and every one it started, is ended with the `running` block.
"""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psutil

from benchmarks.peers.contenders import Contender
from toxic_core.errors import ToxicError

_START_SECONDS = 180.0
_LOOK_SECONDS = 0.05
_END_SECONDS = 15.0
_OK = 200
_SHOWN_CHARACTERS = 600


class StartError(ToxicError):
    """A contender doesn't answer."""


@dataclass(frozen=True, slots=True)
class Running:
    """A contender that answers.

    Attributes:
        root: its first process.
        port: that it listens on.
        ready_seconds: from its start to its first answer.
    """

    root: psutil.Process
    port: int
    ready_seconds: float

    def cpu_seconds(self) -> float:
        """Return the processor time of the living processes, and of those that they have buried."""
        used = 0.0
        for process in self._tree():
            with suppress(psutil.Error):
                used += sum(process.cpu_times()[:4])
        return used

    def memory_bytes(self) -> int:
        """Return the memory of all processes, each page that several of them share counted once."""
        held = 0
        for process in self._tree():
            with suppress(psutil.Error):
                held += process.memory_full_info().pss
        return held

    def _tree(self) -> list[psutil.Process]:
        return [self.root, *self.root.children(recursive=True)]


@contextmanager
def running(
    contender: Contender, command: list[str], *, environment: dict[str, str], port: int, folder: Path
) -> Iterator[Running]:
    """Start a contender in a folder of its own, and yield once it has answered.

    Raises:
        StartError: it ended, or didn't answer in time; with its last words.
    """
    log = folder / "log.txt"
    with log.open("wb") as output:
        started = time.monotonic()
        process = psutil.Popen(command, env=environment, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        try:
            _wait(contender, process, port=port, log=log)
            yield Running(process, port, time.monotonic() - started)
        finally:
            _end(process)


def ask(contender: Contender, port: int, text: str) -> object:
    """Ask once and return the answer's JSON.

    Raises:
        OSError, HTTPException: no answer, or a status other than 200.
    """
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        headers = {"content-type": "application/json"}
        connection.request("POST", contender.path, body=json.dumps(contender.body(text)), headers=headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != _OK:
            raise HTTPException(f"status {answer.status}")
        return json.loads(content)
    finally:
        connection.close()


def _wait(contender: Contender, process: psutil.Popen, *, port: int, log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError, HTTPException):
            ask(contender, port, "good morning")
            return
        time.sleep(_LOOK_SECONDS)
    words = log.read_text(encoding="utf-8", errors="replace").strip()[-_SHOWN_CHARACTERS:]
    raise StartError(f"{contender.name} doesn't answer: {words}")


def _end(process: psutil.Popen) -> None:
    with suppress(psutil.Error):
        family = [process, *process.children(recursive=True)]
        process.terminate()
        _, alive = psutil.wait_procs(family, timeout=_END_SECONDS)
        for child in alive:
            with suppress(psutil.Error):
                child.kill()
        psutil.wait_procs(alive, timeout=_END_SECONDS)
