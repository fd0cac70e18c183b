"""Runs without processes, for tests of the run manager.

Invariant: no fake sleeps or starts a process; a run ends when the test ends it.
"""

import asyncio

from toxic_training.kedro_project.run_report import RunReport


class FakeRun:
    """A run that ends when the test ends it."""

    def __init__(self) -> None:
        self.latest = RunReport(
            experiment_id="1", mlflow_run_id="abc", step=2, steps=5, node="train classifier"
        )
        self.is_stopped = False
        self._status: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def report(self) -> RunReport:
        """Return the report that the test set."""
        return self.latest

    async def wait(self) -> int:
        """Wait for `end`."""
        return await self._status

    def stop(self) -> None:
        """End with the exit status of SIGTERM."""
        self.is_stopped = True
        self.end(143)

    def end(self, status: int) -> None:
        """End with an exit status."""
        if not self._status.done():
            self._status.set_result(status)


class FakeLauncher:
    """Starts fake runs and keeps them."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.started: list[FakeRun] = []
        self.fails = False

    async def launch(self, request: str, run_id: str) -> FakeRun:  # noqa: ARG002 - the caller's signature
        """Start a fake run after one turn of the event loop."""
        await asyncio.sleep(0)
        if self.fails:
            raise OSError("no more processes")
        self.requests.append(request)
        self.started.append(FakeRun())
        return self.started[-1]
