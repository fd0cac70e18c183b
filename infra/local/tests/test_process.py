import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from toxic_local.process import ManagedProcess, ProcessSpec, last_lines

# A process that holds its pipe open for ever would block the reader.
pytestmark = pytest.mark.timeout(120)

ENDS = """
import sys
print("working", flush=True)
sys.exit(7)
"""

HOLDS = """
import os, signal, sys
held = open(sys.argv[1], "wb", buffering=0)
held.write(b"holding\\n")
"""

STUBBORN = f"""{HOLDS.replace("held =", "signal.signal(signal.SIGTERM, signal.SIG_IGN); held =")}
while True:
    signal.pause()
"""
POLITE = f"""{HOLDS}
def leave(*_):
    held.write(b"leaving\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
held.write(b"ready\\n")
signal.pause()
"""
PARENT = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", {STUBBORN!r}, sys.argv[1]])
"""

Spawn = Callable[..., ManagedProcess]


@pytest.fixture
def spawn(tmp_path: Path) -> Spawn:
    """Start a Python program as a managed process."""

    def start(source: str, *arguments: str) -> ManagedProcess:
        command = (sys.executable, "-c", source, *arguments)
        log = tmp_path / "log" / "child.log"
        return ManagedProcess(ProcessSpec("child", command, dict(os.environ), log=log))

    return start


def test_output_goes_to_the_log(spawn: Spawn, tmp_path: Path) -> None:
    """A second run is added to the first one's log, so that the cause of a restart stays."""
    for _ in range(2):
        child = spawn(ENDS)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert child.status() == 7
    assert last_lines(tmp_path / "log" / "child.log") == ("working", "working")


def test_missing_log_has_no_last_lines(tmp_path: Path) -> None:
    """A process that never started has no log."""
    assert last_lines(tmp_path / "none.log") == ()


def test_only_the_end_of_a_long_log_is_shown(tmp_path: Path) -> None:
    """Bytes that aren't text don't hide what follows."""
    log = tmp_path / "long.log"
    log.write_bytes(b"\xff\n" * 100 + b"the cause\n")
    assert last_lines(log, count=2) == ("\N{REPLACEMENT CHARACTER}", "the cause")


def test_polite_process_may_finish(spawn: Spawn, held: Path) -> None:
    """It gets the time to end by itself."""
    child = spawn(POLITE, str(held))
    with held.open("rb") as alive:
        assert [alive.readline(), alive.readline()] == [b"holding\n", b"ready\n"]
        assert child.stop() == 0
        assert alive.read() == b"leaving\n"


def test_stubborn_process_is_killed_after_its_grace(spawn: Spawn, held: Path) -> None:
    """One that ignores the polite signal ends all the same."""
    child = spawn(STUBBORN, str(held))
    with held.open("rb") as alive:
        assert alive.readline() == b"holding\n"
        assert child.stop(grace_seconds=0.1) == -signal.SIGKILL
        assert alive.read() == b""


def test_orphaned_grandchild_is_killed_with_its_group(spawn: Spawn, held: Path) -> None:
    """A process that outlives the child which started it doesn't outlive the stack."""
    child = spawn(PARENT, str(held))
    with held.open("rb") as alive:
        assert alive.readline() == b"holding\n"
        assert child.stop() == 0
        assert alive.read() == b""


def test_stopping_twice_is_harmless(spawn: Spawn) -> None:
    """The second call has no effect."""
    child = spawn(ENDS)
    assert child.stop() == child.stop()


def test_child_dies_with_its_parent(held: Path, tmp_path: Path) -> None:
    """Killing the supervisor outright, which it can't notice, still ends what it started."""
    supervisor = f"""
import os, signal, sys
from pathlib import Path
from toxic_local.process import ManagedProcess, ProcessSpec
ManagedProcess(ProcessSpec("child", (sys.executable, "-c", {POLITE!r}, sys.argv[1]), dict(os.environ)))
signal.pause()
"""
    command = (sys.executable, "-c", supervisor, str(held))
    parent = ManagedProcess(ProcessSpec("parent", command, dict(os.environ), log=tmp_path / "log"))
    with held.open("rb") as alive:
        assert [alive.readline(), alive.readline()] == [b"holding\n", b"ready\n"]
        os.kill(parent.pid, signal.SIGKILL)
        assert alive.read() == b"leaving\n"
    parent.stop()
