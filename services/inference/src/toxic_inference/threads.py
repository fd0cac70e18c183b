"""Threads for blocking work, which callers use in turns.

Invariant: a caller with much work delays another caller's work by at most what runs already.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from threading import Lock
from typing import TypeVar

Result = TypeVar("Result")
Item = TypeVar("Item")


_PART = 64 * 1024


def parts_of(items: Sequence[Item], size: Callable[[Item], int]) -> Iterator[Sequence[Item]]:
    """Yield consecutive parts of about `_PART` in size, so that other callers have their turns in between."""
    begin = total = 0
    for end, item in enumerate(items):
        if total and total + size(item) > _PART:
            yield items[begin:end]
            begin, total = end, 0
        total += size(item)
    if begin < len(items):
        yield items[begin:]


class Threads:
    """An executor behind a queue per caller; callers take turns. Thread-safe.

    Args:
        executor: runs the work.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._waiting: OrderedDict[str, deque[Callable[[], None]]] = OrderedDict()
        self._lock = Lock()

    async def run(self, work: Callable[..., Result], *arguments: object, caller: str = "") -> Result:
        """Return what `work` returns for these arguments on a thread.

        A call that is cancelled before its turn is never made.
        """
        return await asyncio.wrap_future(self._submit(work, arguments, caller))

    async def run_to_end(self, work: Callable[..., Result], *arguments: object, caller: str = "") -> Result:
        """Return as `run` does; if the caller is cancelled, wait for a call that has begun.

        Use it for work such as a write, which must not overlap with what the caller does next.
        """
        future = self._submit(work, arguments, caller)
        ended = asyncio.wrap_future(future)
        try:
            return await asyncio.shield(ended)
        except asyncio.CancelledError:
            future.cancel()
            while not ended.done():
                with suppress(asyncio.CancelledError):  # the caller may be cancelled again
                    await asyncio.wait({ended})
            if not ended.cancelled():
                ended.exception()  # else asyncio logs that nobody asked for it
            raise

    def _submit(
        self, work: Callable[..., Result], arguments: tuple[object, ...], caller: str
    ) -> Future[Result]:
        future: Future[Result] = Future()

        def call() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work(*arguments))
                except BaseException as error:  # noqa: BLE001  as an executor does
                    future.set_exception(error)

        with self._lock:
            self._waiting.setdefault(caller, deque()).append(call)
        self._executor.submit(self._next)
        return future

    def _next(self) -> None:
        """Make the oldest call of the next caller."""
        with self._lock:
            caller, calls = self._waiting.popitem(last=False)
            call = calls.popleft()
            if calls:
                self._waiting[caller] = calls
        call()
