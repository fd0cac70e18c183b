"""Fakes of the stack's programs, with the same addresses and exit statuses."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from toxic_local.plan import Commands
from toxic_testing.ports import free_port

END_SECONDS = 60

SERVER = """
import http.server, itertools, json, os, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        answers = {"/health": b"OK", "/health/ready": b'{"model_version": "%d"}' % next(versions)}
        if os.environ.get("STANDIN_CHAMPION"):
            answers["/api/2.0/mlflow/registered-models/alias"] = b'{"model_version": {"version": "3"}}'
        body = answers.get(self.path.partition("?")[0])
        self.send_response(404 if body is None else 200)
        self.end_headers()
        self.wfile.write(body or b"")
        if self.path == "/die":
            os._exit(3)

name = sys.argv[1]
versions = itertools.chain([2, 2], itertools.repeat(3))  # a new champion takes its time
if held := os.environ.get("STANDIN_HELD"):
    alive = open(held, "wb", buffering=0)  # its reader sees the end of file when we are gone
    alive.write(f"{name} {os.getpid()}\\n".encode())
print(f"the {name} is coming up", flush=True)
if os.environ.get("STANDIN_BROKEN") == name:
    sys.exit(4)
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ[f"{name.upper()}_PORT"])), Handler)
server.serve_forever()
"""

STEP = """
import os, sys
name, *arguments = sys.argv[1:]
print(f"the {name} ran with {arguments} against {os.environ['MLFLOW_TRACKING_URI']}", flush=True)
if os.environ.get("STANDIN_WAITS") == name:
    sys.stdout.flush()
    import signal
    signal.pause()
sys.exit(5 if os.environ.get("STANDIN_BROKEN") == name else 0)
"""


def command(source: str, name: str) -> tuple[str, ...]:
    """Return the command line of a fake program."""
    return (sys.executable, "-c", source, name)


class LocalCommand:
    """`toxic-local` with fake programs in a process, with its output line by line."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str], commands: Commands) -> None:
        code = (
            "import json, sys; from toxic_local.cli import main; from toxic_local.plan import Commands\n"
            "given = {name: tuple(words) for name, words in json.loads(sys.argv[1]).items()}\n"
            "main(json.loads(sys.argv[2]), commands=Commands(**given))"
        )
        given = {
            "registry": commands.registry,
            "promote": commands.promote,
            "train": commands.train,
            "inference": commands.inference,
        }
        inherited = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, json.dumps(given), json.dumps(arguments)],
            env={**inherited, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        # A fake program that hangs must fail the test.
        self._watchdog = threading.Timer(END_SECONDS, self.process.kill)
        self._watchdog.start()

    def read_until(self, text: str) -> None:
        """Read the output up to the line that holds `text`."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if text in line:
                return
        raise AssertionError(f"{text!r} was never said:\n{self.output}")

    def send(self, signum: int) -> None:
        """Send a signal."""
        self.process.send_signal(signum)

    def end(self) -> int:
        """Read the rest of the output and return the exit status."""
        assert self.process.stdout is not None
        with self.process.stdout as rest:
            self.lines.extend(rest)
        status = self.process.wait()
        self._watchdog.cancel()
        return status

    @property
    def output(self) -> str:
        """What has been read so far."""
        return "".join(self.lines)


@pytest.fixture
def stand_ins() -> Commands:
    """Give a program for each part of the stack."""
    return Commands(
        registry=command(SERVER, "registry"),
        promote=command(STEP, "promotion"),
        train=command(STEP, "training"),
        inference=command(SERVER, "inference"),
    )


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Give the variables of a stack that has the machine to itself."""
    return {
        "TOXIC_STATE_DIR": str(tmp_path / "state with space"),
        "REGISTRY_PORT": str(free_port()),
        "INFERENCE_PORT": str(free_port()),
    }


@pytest.fixture
def toxic_local(stand_ins: Commands, environment: dict[str, str]) -> Iterator[Callable[..., LocalCommand]]:
    """Run `toxic-local` commands that end with the test."""
    running: list[LocalCommand] = []

    def run(*arguments: str, **variables: str) -> LocalCommand:
        running.append(LocalCommand(list(arguments), {**environment, **variables}, stand_ins))
        return running[-1]

    yield run
    for ran in running:
        ran.process.kill()
        if ran.process.stdout is not None and not ran.process.stdout.closed:
            ran.end()


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """Return a named pipe that ends when the last process has closed it."""
    path = tmp_path / "held"
    os.mkfifo(path)
    return path
