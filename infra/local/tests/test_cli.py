import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import httpx
import pytest

from toxic_local.cli import main

# A process that holds its pipe open for ever would block the reader.
pytestmark = pytest.mark.timeout(120)


class Command(Protocol):
    """A running `toxic-local`, as conftest.py makes it."""

    @property
    def output(self) -> str:
        """What has been read so far."""
        ...

    @property
    def lines(self) -> list[str]:
        """Return the output line by line."""
        ...

    def read_until(self, text: str) -> None:
        """Read on."""
        ...

    def send(self, signum: int) -> None:
        """Send a signal."""
        ...

    def end(self) -> int:
        """Read to the end."""
        ...


ToxicLocal = Callable[..., Command]


def test_demo_does_every_step_in_order(toxic_local: ToxicLocal, environment: dict[str, str]) -> None:
    """Its output has each step, the programs' output, and the addresses as soon as they answer."""
    demo = toxic_local("demo")
    demo.read_until("is the challenger")
    demo.send(signal.SIGINT)
    assert demo.end() == 0
    registry = f"http://127.0.0.1:{environment['REGISTRY_PORT']}"
    inference = f"http://127.0.0.1:{environment['INFERENCE_PORT']}"
    expected = [
        "step 1/5: check",
        "step 2/5: start the registry",
        "step 3/5: make the shipped baseline champion",
        f"the training ran with ['--env', 'demo', '--pipelines', 'baseline'] against {registry}",
        "the promotion ran with ['challenger', '--reason', 'make demo: the shipped baseline']",
        "step 4/5: wait until inference",
        f"{inference}/docs",
        "step 5/5: beside it, train a challenger",
        f"the training ran with ['--env', 'demo'] against {registry}",
        f"{registry}/#/models",
    ]
    places = [demo.output.index(text) for text in expected]
    assert places == sorted(places)


def test_demo_keeps_the_champion_that_is_there(toxic_local: ToxicLocal) -> None:
    """A demo that is started again neither registers nor promotes what it did before."""
    demo = toxic_local("demo", STANDIN_CHAMPION="1")
    demo.read_until("is the challenger")
    demo.send(signal.SIGINT)
    assert demo.end() == 0
    assert "baseline']" not in demo.output
    assert "the promotion ran" not in demo.output


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_demo_leaves_no_process_behind(toxic_local: ToxicLocal, held: Path, signum: int) -> None:
    """Ctrl-C, a polite kill and a closed terminal each end every process, with status 0."""
    demo = toxic_local("demo", STANDIN_HELD=str(held))
    with held.open("rb") as alive:
        demo.read_until("curl -s")
        demo.send(signum)
        assert demo.end() == 0
        assert sorted(line.split()[0] for line in alive) == [b"inference", b"registry"]


def test_killed_demo_leaves_no_process_behind(toxic_local: ToxicLocal, held: Path) -> None:
    """Even a demo that can't clean up takes its servers with it."""
    demo = toxic_local("demo", STANDIN_HELD=str(held))
    with held.open("rb") as alive:
        demo.read_until("curl -s")
        demo.send(signal.SIGKILL)
        assert len(alive.readlines()) == 2
    demo.end()


def test_demo_stops_in_the_middle_of_training(toxic_local: ToxicLocal, held: Path) -> None:
    """Ctrl-C needn't wait for the step to end."""
    demo = toxic_local("demo", STANDIN_WAITS="training", STANDIN_HELD=str(held))
    with held.open("rb") as alive:
        demo.read_until("the training ran")
        demo.send(signal.SIGINT)
        assert demo.end() == 0
        assert b"registry" in alive.read()
    assert "step 3/5: make the shipped baseline champion, unless there is one … not finished" in demo.output
    assert "step 4" not in demo.output


def test_dead_server_ends_the_demo(toxic_local: ToxicLocal, environment: dict[str, str]) -> None:
    """It names the program, prints the end of its log and fails."""
    demo = toxic_local("demo")
    demo.read_until("curl -s")
    uri = f"http://127.0.0.1:{environment['INFERENCE_PORT']}"
    assert httpx.get(f"{uri}/die").status_code == httpx.codes.NOT_FOUND
    assert demo.end() == 1
    assert "  | the inference is coming up" in demo.output
    assert "toxic-local: The inference ended with status 3" in demo.output
    assert "Traceback" not in demo.output


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("registry", "The registry ended with status 4"),
        ("training", "The training ended with status 5"),
        ("promotion", "The promotion ended with status 5"),
        ("inference", "The inference ended with status 4"),
    ],
)
def test_failing_step_ends_the_demo(toxic_local: ToxicLocal, broken: str, told: str) -> None:
    """The last line has the failure and the log."""
    demo = toxic_local("demo", STANDIN_BROKEN=broken)
    assert demo.end() == 1
    assert demo.lines[-1].startswith(f"toxic-local: {told}")
    assert "Traceback" not in demo.output


@pytest.mark.parametrize("variable", ["INFERENCE_PORT", "REGISTRY_PORT"])
def test_taken_port_is_one_line(toxic_local: ToxicLocal, environment: dict[str, str], variable: str) -> None:
    """No process starts, and the line names the port and its variable."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(environment[variable])))
        other.listen()
        demo = toxic_local("demo")
        assert demo.end() == 1
    assert environment[variable] in demo.lines[-1]
    assert f"{variable}=" in demo.lines[-1]
    assert "step 2" not in demo.output


def test_serve_needs_a_champion(toxic_local: ToxicLocal) -> None:
    """Without one the error explains how to get one."""
    serve = toxic_local("serve")
    assert serve.end() == 1
    assert "no champion" in serve.lines[-1]
    assert "make train" in serve.lines[-1]


def test_serve_stays_until_it_is_stopped(toxic_local: ToxicLocal) -> None:
    """It trains no model."""
    serve = toxic_local("serve", STANDIN_CHAMPION="yes")
    serve.read_until("curl -s")
    serve.send(signal.SIGTERM)
    assert serve.end() == 0
    assert "training" not in serve.output


def test_with_registry_starts_one_for_the_command(
    toxic_local: ToxicLocal, environment: dict[str, str], held: Path
) -> None:
    """The command's status is the result, and the registry is gone afterwards."""
    code = "import os, sys; print(os.environ['MLFLOW_TRACKING_URI']); sys.exit(6)"
    ran = toxic_local("with-registry", "--", sys.executable, "-c", code, "--", "-x", STANDIN_HELD=str(held))
    with held.open("rb") as alive:
        assert ran.end() == 6
        assert len(alive.readlines()) == 1
    assert ran.output == f"http://127.0.0.1:{environment['REGISTRY_PORT']}\n"


def test_after_a_training_the_way_to_its_run_is_printed(toxic_local: ToxicLocal) -> None:
    """The registry that was started for it has ended, so that its addresses don't answer."""
    ran = toxic_local("with-registry", "--", sys.executable, "-c", "print('done')", "toxic_training")
    assert ran.end() == 0
    assert "`make ui`" in ran.output


def test_the_page_needs_no_champion(toxic_local: ToxicLocal, environment: dict[str, str], held: Path) -> None:
    """`toxic-local ui` prints addresses and stays; a second one finds the registry and ends."""
    shown = toxic_local("ui", STANDIN_HELD=str(held))
    address = f"http://127.0.0.1:{environment['REGISTRY_PORT']}"
    with held.open("rb") as alive:
        shown.read_until(f"{address}/#/models/toxic-comments")
        second = toxic_local("ui")
        assert second.end() == 0
        assert "runs already" in second.output
        shown.send(signal.SIGINT)
        assert shown.end() == 0
        assert len(alive.readlines()) == 1


def test_with_registry_uses_the_one_that_runs(toxic_local: ToxicLocal, held: Path) -> None:
    """No second one is started beside it."""
    demo = toxic_local("demo")
    demo.read_until("curl -s")
    reader = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    ran = toxic_local("with-registry", "--", sys.executable, "-c", "print('done')", STANDIN_HELD=str(held))
    assert ran.end() == 0
    assert ran.output == "done\n"
    assert os.read(reader, 100) == b""
    os.close(reader)


def test_with_registry_never_replaces_the_one_that_was_named(toxic_local: ToxicLocal) -> None:
    """A training run that was meant for the team's registry doesn't end up in a local one."""
    uri = "http://127.0.0.1:1"
    ran = toxic_local("with-registry", "--", sys.executable, "-c", "print('done')", MLFLOW_TRACKING_URI=uri)
    assert ran.end() == 1
    assert "done" not in ran.output
    assert uri in ran.lines[-1]


def test_stopped_command_has_the_shell_s_status(toxic_local: ToxicLocal) -> None:
    """A calling script can distinguish a stop from a failure."""
    code = "import signal; print('waiting', flush=True); signal.pause()"
    ran = toxic_local("with-registry", "--", sys.executable, "-c", code)
    ran.read_until("waiting")
    ran.send(signal.SIGINT)
    assert ran.end() == 130


@pytest.mark.parametrize(
    ("signum", "told"),
    [(signal.SIGKILL, "by the kernel because memory ran out"), (signal.SIGSEGV, "by signal 11;")],
)
def test_killed_command_is_named(toxic_local: ToxicLocal, signum: int, told: str) -> None:
    """The kernel kills a training that needs too much memory, and leaves no line of its own."""
    code = f"import os; os.kill(os.getpid(), {signum:d})"
    ran = toxic_local("with-registry", "--", sys.executable, "-c", code)
    assert ran.end() == 128 + signum
    assert ran.lines[-1].startswith(f"toxic-local: The command was ended by signal {signum:d}")
    assert told in ran.lines[-1]


@pytest.mark.parametrize("arguments", [["with-registry"], ["demo", "--", "ls"], ["nonsense"], []])
def test_wrong_usage_is_status_2(arguments: list[str]) -> None:
    """An invalid command line starts no process."""
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
