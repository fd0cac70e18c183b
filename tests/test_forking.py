"""The `python` that forks for `-m` starts a program as the real one does."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from toxic_testing.forking import quick_python
from toxic_testing.inference.process import Server

PROGRAM = """
import os, signal, sys, time

signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print("started", os.getpid() if "identified" in sys.argv else "", flush=True)
if "wait" in sys.argv:
    time.sleep(600)
print(sys.argv, os.getcwd(), os.environ["GIVEN"], sys.stdin.read())
print("an error", file=sys.stderr)
sys.exit(3)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a module."""
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    return tmp_path


def test_a_forked_program_is_like_a_started_one(folder: Path) -> None:
    """It has the arguments, folder, environment, streams and exit status of the command."""
    forked, started = (
        subprocess.run(
            [python, "-m", "program", "an argument", "--option"],
            cwd=folder,
            env={**os.environ, "GIVEN": "a value"},
            input="a line",
            capture_output=True,
            text=True,
            check=False,
        )
        for python in (quick_python("registry"), sys.executable)
    )
    assert forked.returncode == started.returncode == 3
    assert forked.stderr == started.stderr
    assert forked.stdout == started.stdout


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGTERM, 7), (signal.SIGINT, -signal.SIGINT)])
def test_a_signal_reaches_the_program(folder: Path, signum: int, status: int) -> None:
    """It ends as the program does; an interrupt that isn't handled ends both."""
    command = [quick_python("registry"), "-m", "program", "wait"]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signum)
        assert process.wait() == status


def test_a_killed_command_takes_its_program_along(folder: Path) -> None:
    """The output, which the program holds open, comes to its end."""
    command = [quick_python("registry"), "-m", "program", "wait"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        assert process.stdout.read() == ""


def test_nothing_is_left_of_a_killed_server(folder: Path) -> None:
    """A next one can take its port and its locks at once."""
    command = ("-m", "program", "wait", "identified")
    for _ in range(20):
        server = Server(command, environment={}, folder=folder, python=quick_python("registry"))
        _, program = server.logs.wait_for("started").split()
        server.kill()
        assert not Path("/proc", program).exists()
