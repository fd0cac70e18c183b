"""Threads that callers use in turns."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from toxic_inference.threads import Threads, parts_of
from toxic_testing.inference.fakes import HeldExecutor

pytestmark = pytest.mark.anyio


@pytest.mark.hostile(19)
async def test_callers_take_turns() -> None:
    """A caller's hundred calls are two in front of another's first one at most."""
    executor, order = HeldExecutor(), list[str]()
    threads = Threads(executor)
    calls = [asyncio.ensure_future(threads.run(order.append, "loud", caller="loud")) for _ in range(100)]
    await asyncio.sleep(0)
    calls += [asyncio.ensure_future(threads.run(order.append, "quiet", caller="quiet")) for _ in range(2)]
    await asyncio.sleep(0)
    while executor.held:
        executor.release()
    await asyncio.gather(*calls)
    assert [place for place, caller in enumerate(order) if caller == "quiet"] == [1, 3]


async def test_a_cancelled_call_is_never_made() -> None:
    """It isn't awaited any more; an error is its caller's."""
    executor, made = HeldExecutor(), list[int]()
    threads = Threads(executor)
    cancelled, kept = (asyncio.ensure_future(threads.run(made.append, number)) for number in range(2))
    failing = asyncio.ensure_future(threads.run(int, "a"))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.sleep(0)
    while executor.held:
        executor.release()
    await kept
    assert made == [1]
    with pytest.raises(ValueError, match="invalid literal"):
        await failing


async def test_a_call_that_has_begun_is_waited_for() -> None:
    """Its cancelled caller is cancelled once the call has ended; a call that hasn't begun is never made."""
    began, go, made = Event(), Event(), list[int]()

    def work(number: int) -> None:
        began.set()
        go.wait(timeout=30)
        made.append(number)

    with ThreadPoolExecutor(1) as executor:
        threads = Threads(executor)
        begun, waiting = (asyncio.ensure_future(threads.run_to_end(work, number)) for number in range(2))
        async with asyncio.timeout(30):
            while not began.is_set():  # noqa: ASYNC110  threads work meanwhile
                await asyncio.sleep(0)
        begun.cancel()
        waiting.cancel()
        await asyncio.wait({waiting})
        begun.cancel()  # again, as a job that is deleted and whose queue then ends
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not begun.done()
        go.set()
        await asyncio.wait({begun})
        assert begun.cancelled()
        assert made == [0]
        assert await threads.run_to_end(int, "1") == 1
        with pytest.raises(ValueError, match="invalid literal"):
            await threads.run_to_end(int, "a")
    assert made == [0]


def test_parts_have_a_bounded_size() -> None:
    """In order, with everything; what is larger is alone."""
    sizes = [1, 60_000, 10_000, 200_000, 3, 4]
    parts = [list(part) for part in parts_of(sizes, lambda size: size)]
    assert parts == [[1, 60_000], [10_000], [200_000], [3, 4]]
    assert list(parts_of([], lambda size: size)) == []
