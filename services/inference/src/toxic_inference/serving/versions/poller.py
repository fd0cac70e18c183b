"""The poller: asks a source again and again and tells the manager what it says.

Invariant: what was served before the last stop is loaded before the source is asked, so a start never waits
for a registry; and a source that can't answer changes nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass

import structlog

from toxic_inference.events import Emit, SourcePolled
from toxic_inference.serving.clock import Clock
from toxic_inference.serving.interfaces import AspiredVersion, RouteMemory, Source

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PollerParts:
    """What a poller works with.

    Attributes:
        source: asked on `executor`.
        memory: what was served before; None where the source is local and always there.
        aspire: takes the whole wanted set.
        settled: waits until what was emitted has loaded or failed.
        executor: one thread for the source's blocking calls.
        clock: for the interval.
        emit: receives the outcome of every poll.
    """

    source: Source
    memory: RouteMemory | None
    aspire: Callable[[tuple[AspiredVersion, ...]], None]
    settled: Callable[[], Awaitable[None]]
    executor: Executor
    clock: Clock
    emit: Emit


class Poller:
    """Polls one source at a fixed interval, or at once when poked."""

    def __init__(self, parts: PollerParts, *, interval_seconds: float) -> None:
        self._parts = parts
        self._interval_seconds = interval_seconds
        self._poked = asyncio.Event()
        self._answering: bool | None = None
        self.error: Exception | None = None
        """Why the source didn't answer the last poll; None where it did."""

    def poke(self) -> None:
        """Poll now, as when the registry says that an alias moved."""
        self._poked.set()

    async def run(self) -> None:
        """Poll until cancelled."""
        await self._recall()
        while True:
            self._poked.clear()
            await self._poll()
            await self._parts.clock.wait(self._poked, at_most_seconds=self._interval_seconds)

    async def _recall(self) -> None:
        if self._parts.memory is None:
            return
        loop = asyncio.get_running_loop()
        served = await loop.run_in_executor(self._parts.executor, self._parts.memory.recall)
        if served:
            _log.info("poller.recalled", versions=[aspired.id.version for aspired in served])
            self._parts.aspire(served)
            # Else a newer, broken champion could replace the wish for the old one before it is loaded.
            await self._parts.settled()

    async def _poll(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            aspired = await loop.run_in_executor(self._parts.executor, self._parts.source.aspired)
        except Exception as error:  # noqa: BLE001  a task's boundary: polling goes on whatever the source does
            self._note(answered=False, error=error)
            return
        self._note(answered=True, error=None)
        self._parts.aspire(aspired)

    def _note(self, *, answered: bool, error: Exception | None) -> None:
        self.error = error
        self._parts.emit(SourcePolled(answered))
        if answered is self._answering:
            return  # logged when it changes: an outage of a day isn't 43,200 lines
        self._answering = answered
        if answered:
            _log.info("source.answers")
        else:
            _log.warning("source.unavailable", error=str(error), error_type=type(error).__name__)
