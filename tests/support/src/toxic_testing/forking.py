"""A `python` that starts `-m` modules in a tenth of a second: it forks a server that has their libraries.

Importing MLflow or TensorFlow takes seconds of CPU, and tests start a hundred programs. The first start makes
the server, which all workers of a test run share; it ends with the last of them. The started program is a
process with the command's environment, folder, standard streams, signals and exit status. It doesn't show
what a program does before its libraries are imported, so each program also has tests with `sys.executable`.

Invariant: the program is killed if the command's process ends, even by SIGKILL. This module imports only the
standard library, since the command runs it by itself.
"""

import gc
import importlib
import json
import os
import runpy
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from fcntl import LOCK_EX, flock
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any

LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "registry": (
        *("aiohttp", "alembic.migration", "fastapi", "flask", "mlflow", "toxic_registry.server.gated_store"),
        *("mlflow.store.tracking.sqlalchemy_store", "toxic_registry.cli", "toxic_registry.server.serve"),
    ),
    "training": ("toxic_testing.training.preloaded",),
    "inference": ("mlflow.artifacts", "openvino", "tensorflow", "toxic_inference.app", "uvicorn"),
}
"""Modules to import before the first fork, per kind of program."""

_SETTINGS: Mapping[str, Mapping[str, str]] = {
    "registry": {"MLFLOW_CONFIGURE_LOGGING": "false"},
    "training": {},
    "inference": {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"},
}
"""Environment variables that the programs set before they import these."""

_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_servers: dict[str, "subprocess.Popen[bytes]"] = {}
_leases: dict[str, socket.socket] = {}


def quick_python(kind: str) -> str:
    """Return the path of a `python` that forks for `-m`; anything else runs by the real one.

    It works until this process ends. Only Linux can watch a process of another parent; elsewhere this is
    `sys.executable`.
    """
    if sys.platform != "linux":
        return sys.executable
    mark = sha256(sys.executable.encode()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"toxic-forks-{os.getuid()}-{mark}" / kind
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    program, address = folder / "python", folder / "socket"
    with (folder / "lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if kind not in _leases:
            command = shlex.join((sys.executable, "-I", "-S", __file__, sys.executable, str(address)))
            script = f'#!/bin/sh\nexec {command} "$@"\n'
            if not program.exists() or program.read_text() != script:  # another worker may just run it
                program.write_text(script)
                program.chmod(0o700)
            _leases[kind] = _lease(kind, address)
    return str(program)


def _lease(kind: str, address: Path) -> socket.socket:
    """Connect to the server, and start it if there is none; it runs while the connection is open."""
    lease = socket.socket(socket.AF_UNIX)
    try:
        lease.connect(str(address))
    except OSError:
        address.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(address))
            listener.listen(64)
            with (address.parent / "log").open("wb") as log:
                _servers[kind] = subprocess.Popen(
                    [sys.executable, "-m", __name__, kind, str(listener.fileno())],
                    env={**os.environ, "OMP_NUM_THREADS": "1", **_SETTINGS[kind]},
                    pass_fds=[listener.fileno()], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    cwd="/", start_new_session=True,
                )  # fmt: skip
        lease.connect(str(address))
    lease.sendall(b"lease\n")
    return lease


def _serve(kind: str, listener: socket.socket) -> None:
    """Import the libraries, then fork per request; return in a forked program, or after the last lease."""
    for name in LIBRARIES[kind]:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # collections in the programs leave the shared pages alone
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nothing waits for the keepers
    leases: list[socket.socket] = []
    while True:
        ready, _, _ = select.select([listener, *leases], [], [])
        leases = [lease for lease in leases if lease not in ready]
        if listener in ready:
            connection, _ = listener.accept()
            first, descriptors, *_ = socket.recv_fds(connection, 1 << 16, 3)
            if not descriptors:
                leases.append(connection)
                continue
            while not first.endswith(b"\n"):
                first += connection.recv(1 << 16)
            if os.fork() == 0:
                for unneeded in (listener, *leases):
                    unneeded.close()
                return _become(json.loads(first), descriptors, connection)
            for descriptor in descriptors:
                os.close(descriptor)
            connection.close()
        elif not leases:
            listener.close()
            return None


def _become(request: dict[str, Any], descriptors: list[int], connection: socket.socket) -> None:
    """Fork the program and return in it; this process, its keeper, tells the command about its end.

    The keeper closes the program's streams after that, so their end is that of the program and its locks.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if program := os.fork():
        ended = os.pidfd_open(program)
        connection.sendall(f"{program}\n".encode())
        while ended not in select.select([ended, connection.fileno()], [], [])[0]:
            os.killpg(program, signal.SIGKILL)  # the command's process is gone
            select.select([ended], [], [])
        _, status = os.waitpid(program, 0)
        try:
            connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
        finally:
            os._exit(0)
    connection.close()
    os.setsid()
    for standard, descriptor in enumerate(descriptors):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background ignores it
    sys.executable = request["python"]
    sys.path[0] = str(Path.cwd())
    _, module, *arguments = request["arguments"]
    sys.argv = ["-m", *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _command(python: str, address: str, arguments: list[str]) -> int:
    """Ask the server for a program, hand it this process's streams, and return its exit status."""
    if arguments[:1] != ["-m"]:
        os.execv(python, [python, *arguments])  # noqa: S606  the tests' own programs
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address)
    request = {
        "arguments": arguments,
        "environment": dict(os.environ),
        "folder": str(Path.cwd()),
        "python": str(Path(address).with_name("python")),
    }
    pending: list[int] = []
    for number in _FORWARDED:
        signal.signal(number, lambda signum, _frame: pending.append(signum))
    encoded = json.dumps(request).encode() + b"\n"
    sent = socket.send_fds(connection, [encoded], [0, 1, 2])
    connection.sendall(encoded[sent:])
    told = connection.makefile()
    program = int(told.readline())

    def forward(signum: int, _frame: FrameType | None) -> None:
        os.kill(program, signum)

    for number in _FORWARDED:
        signal.signal(number, forward)
    for early in pending:
        os.kill(program, early)
    return int(told.readline())


def main() -> None:
    """Run the server, `KIND SOCKET`, or the command, `PYTHON ADDRESS ARGUMENTS…`."""
    first, second, *arguments = sys.argv[1:]
    if first in LIBRARIES:
        _serve(first, socket.socket(fileno=int(second)))
        return
    status = _command(first, second, arguments)
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


if __name__ == "__main__":
    main()
