"""The tasks beside the requests: their errors, and the shutdown."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import cast

import pytest
from starlette.applications import Starlette
from structlog.testing import capture_logs

from toxic_inference.composition.executors import Executors
from toxic_inference.composition.running import Run, make_lifespan
from toxic_inference.http.application import Lifespan
from toxic_inference.serving.versions.manager import Manager
from toxic_testing.inference.fakes import ManualClock

pytestmark = pytest.mark.anyio

Turn = Callable[[Callable[[], bool]], Awaitable[None]]


class Closing:
    """Stands in for the manager, the executors and the stores; keeps the order in which they were closed."""

    def __init__(self) -> None:
        self.closed: list[str] = []
        self.failing: set[str] = set()

    def step(self, name: str) -> None:
        """Close one of them."""
        self.closed.append(name)
        if name in self.failing:
            raise RuntimeError(name)

    async def close(self) -> None:
        """Close the manager."""
        self.step("manager")

    def shutdown(self) -> None:
        """End the threads."""
        self.step("threads")


@pytest.fixture
def closing() -> Closing:
    """What is closed at the end."""
    return Closing()


@pytest.fixture
def lifespan(closing: Closing, clock: ManualClock) -> Callable[..., Lifespan]:
    """Return the function that makes a lifespan of these tasks."""

    def make(*runs: Run) -> Lifespan:
        return make_lifespan(
            runs,
            cast("Manager", closing),
            cast("Executors", closing),
            grpc=nullcontext,
            closing=[lambda: closing.step("watching"), lambda: closing.step("feedback")],
            clock=clock,
        )

    return make


ALL = ["manager", "threads", "watching", "feedback"]


async def test_a_task_that_ends_by_an_error_is_logged_and_restarted(
    lifespan: Callable[..., Lifespan], closing: Closing, clock: ManualClock, turn: Turn
) -> None:
    """The log has its traceback, the restart follows after a pause, and the other tasks continue."""
    starts: list[str] = []

    async def breaking() -> None:
        starts.append("breaking")
        raise OSError(28, "No space left on device")

    async def steady() -> None:
        starts.append("steady")
        await asyncio.Event().wait()

    with capture_logs() as logs:
        async with lifespan(breaking, steady)(Starlette()):
            await turn(lambda: bool(logs))
            assert starts == ["breaking", "steady"]
            clock.advance(60)
            await turn(lambda: len(logs) == 2)
    assert starts == ["breaking", "steady", "breaking"]
    assert {(log["event"], log["task"].rpartition(".")[2], log["exc_info"]) for log in logs} == {
        ("task.broke", "breaking", True)
    }
    assert closing.closed == ALL


@pytest.mark.parametrize("failing", ["task", *ALL])
async def test_the_shutdown_runs_every_closing_step(
    lifespan: Callable[..., Lifespan], closing: Closing, turn: Turn, failing: str
) -> None:
    """A task or a step that fails doesn't keep the later ones from running."""
    began = asyncio.Event()

    async def run() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            closing.step("task")

    closing.failing = {failing}
    opened = lifespan(run)(Starlette())
    await opened.__aenter__()
    await turn(began.is_set)
    if failing == "task":
        await opened.__aexit__(None, None, None)
    else:
        with pytest.raises(RuntimeError, match=failing):
            await opened.__aexit__(None, None, None)
    assert closing.closed == ["task", *ALL]
