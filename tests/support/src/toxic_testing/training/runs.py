"""Runs without processes: fakes of the run desk's protocols.

Invariant: nothing here sleeps or starts a process; a run ends when the test says so.
"""

import asyncio

from toxic_training.server.report import RunReport


class FakeRun:
    """A run that ends when the test says so."""

    def __init__(self) -> None:
        self.said = RunReport(
            experiment_id="1", mlflow_run_id="abc", step=2, steps=5, node="train classifier"
        )
        self.is_stopped = False
        self._status: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def report(self) -> RunReport:
        """Return what the test has it say."""
        return self.said

    async def wait(self) -> int:
        """Wait for `end`."""
        return await self._status

    def stop(self) -> None:
        """End as a process does on SIGTERM."""
        self.is_stopped = True
        self.end(143)

    def end(self, status: int) -> None:
        """End with an exit status."""
        if not self._status.done():
            self._status.set_result(status)


class FakeLauncher:
    """Keeps what was started."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.started: list[FakeRun] = []
        self.fails = False

    async def launch(self, request: str, *, run_id: str) -> FakeRun:  # noqa: ARG002 - the protocol's
        """Start a fake run, not quite at once."""
        await asyncio.sleep(0)
        if self.fails:
            raise OSError("no more processes")
        self.requests.append(request)
        self.started.append(FakeRun())
        return self.started[-1]
