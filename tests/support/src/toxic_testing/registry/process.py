"""A registry process for tests; its creator ends it by `stop` or `kill`.

A thread reads its output continuously, so that it never blocks on a full pipe.
"""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from toxic_testing.forking import quick_python
from toxic_testing.ports import free_port
from toxic_testing.registry.tables import copy_tables

START_SECONDS = 300
STOP_SECONDS = 120


class RegistryProcess:
    """`python -m toxic_registry` on an unused port, with the given environment variables.

    Unless it gets a `command`, it starts quickly: forked, and its own new SQLite database has tables already.
    """

    def __init__(self, environment: Mapping[str, str], *, command: Sequence[str] = ()) -> None:
        state = environment.get("REGISTRY_STATE_DIR")
        if state and not command and "REGISTRY_BACKEND_STORE_URI" not in environment:
            with suppress(OSError):  # how the registry reports an unusable folder may be what a test wants
                copy_tables(Path(state) / "mlflow.db")
        chosen = {"REGISTRY_PORT": str(free_port()), **environment}
        self.uri = f"http://127.0.0.1:{chosen['REGISTRY_PORT']}"
        self.process = subprocess.Popen(
            command or [quick_python("registry"), "-m", "toxic_registry"],
            env={**os.environ, **chosen},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._ended = False
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_until_ready(self) -> None:
        """Wait until it is ready; see `wait_for`."""
        self.wait_for("registry.ready")

    def wait_for(self, event: str) -> None:
        """Wait until it has logged `event`.

        Raises:
            RuntimeError: it ended, or took too long; the message has its output.
        """
        with self._news:
            self._news.wait_for(lambda: self._ended or event in self.events(), START_SECONDS)
        if event not in self.events():
            raise RuntimeError("".join(self.lines))

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """Send a signal, wait for the end and return the exit status."""
        self.process.send_signal(signum)
        return self.join()

    def join(self) -> int:
        """Wait for the end and return the exit status."""
        status = self.process.wait(STOP_SECONDS)
        self._reader.join(STOP_SECONDS)
        return status

    def kill(self) -> None:
        """Kill it if it still runs."""
        self.process.kill()
        self.join()

    def events(self) -> list[str]:
        """Return the names of the events logged so far."""
        return [json.loads(line)["event"] for line in self.lines if line.startswith("{")]

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                with self._news:
                    self.lines.append(line)
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()
