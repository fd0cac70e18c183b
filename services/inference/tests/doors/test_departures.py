"""Callers that leave while their answer is computed."""

import asyncio
from contextlib import suppress

import pytest
from starlette.requests import ClientDisconnect, Request

from toxic_inference.http.body import unless_departed

pytestmark = pytest.mark.anyio


class Caller:
    """A caller who stays until the test lets it leave, with its request."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.request = Request({"type": "http"}, self._receive)

    async def _receive(self) -> dict[str, object]:
        await self.left.wait()
        return {"type": "http.disconnect"}


async def test_work_is_cancelled_and_may_clean_up_when_the_caller_leaves() -> None:
    """The work hears of it, and its task isn't left with a cancellation."""
    caller, cleaned = Caller(), False

    async def work() -> None:
        nonlocal cleaned
        caller.left.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned = True

    with pytest.raises(ClientDisconnect):
        await unless_departed(caller.request, work())
    assert cleaned
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


@pytest.mark.parametrize("turns", range(5))
async def test_who_leaves_in_the_moment_of_the_answer_cancels_nothing_after_it(turns: int) -> None:
    """Whichever comes first, what the task does next goes on."""
    caller = Caller()

    async def work() -> int:
        caller.left.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        return 1

    with suppress(ClientDisconnect):
        assert await unless_departed(caller.request, work()) == 1
    for _ in range(5):
        await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_a_task_that_is_cancelled_from_outside_stays_cancelled() -> None:
    """Even if its caller leaves at the same moment: a shutdown is not a departure."""
    for leaves in (False, True):
        caller = Caller()
        task = asyncio.ensure_future(unless_departed(caller.request, asyncio.Event().wait()))
        await asyncio.sleep(0)
        if leaves:
            caller.left.set()
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_errors_of_the_work_are_the_callers() -> None:
    """They pass as they are."""

    async def work() -> None:
        raise KeyError("lost")

    with pytest.raises(KeyError):
        await unless_departed(Caller().request, work())
