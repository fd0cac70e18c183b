"""The poller: polls a source at a fixed interval, and passes the wanted set to the manager.

Invariant: versions that were served before the last stop are loaded before the source is polled, so a start
never waits for a registry. A source that fails changes nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import KW_ONLY, dataclass, field

import structlog

from toxic_inference.events import Emit, SourcePolled
from toxic_inference.serving.clock import Clock
from toxic_inference.serving.interfaces import AspiredVersion, Source

_log = structlog.get_logger(__name__)


@dataclass(eq=False)
class Poller:
    """Polls one source at a fixed interval, or at once when poked.

    Attributes:
        source: polled on `executor`.
        recall: returns what was served before, on `executor`; None if the source is local and always there.
        aspire: takes the whole wanted set.
        settled: waits until every version of the set has loaded or failed.
        executor: one thread for the source's blocking calls.
        clock: for the interval.
        emit: receives the outcome of every poll.
        interval_seconds: between two polls.
    """

    source: Source
    _: KW_ONLY
    recall: Callable[[], tuple[AspiredVersion, ...]] | None
    aspire: Callable[[tuple[AspiredVersion, ...]], None]
    settled: Callable[[], Awaitable[None]]
    executor: Executor
    clock: Clock
    emit: Emit
    interval_seconds: float
    error: Exception | None = field(default=None, init=False)
    """Why the last poll failed; None if it didn't."""

    def __post_init__(self) -> None:
        self._poked = asyncio.Event()
        self._answering: bool | None = None

    def poke(self) -> None:
        """Poll now, for example because the registry reports that an alias moved."""
        self._poked.set()

    async def run(self) -> None:
        """Poll until cancelled."""
        loop = asyncio.get_running_loop()
        if self.recall is not None and (served := await loop.run_in_executor(self.executor, self.recall)):
            _log.info("poller.recalled", versions=[aspired.id.version for aspired in served])
            self.aspire(served)
            # Otherwise a newer, broken champion could replace the old one's place before that is loaded.
            await self.settled()
        while True:
            self._poked.clear()
            try:
                aspired = await loop.run_in_executor(self.executor, self.source.aspired)
            except Exception as error:  # noqa: BLE001  a task's boundary: polling continues whatever the source does
                self._record(error)
            else:
                self._record(None)
                self.aspire(aspired)
            await self.clock.wait(self._poked, at_most_seconds=self.interval_seconds)

    def _record(self, error: Exception | None) -> None:
        answered = error is None
        self.error = error
        self.emit(SourcePolled(answered))
        if answered is self._answering:
            return  # only changes are logged: an outage of a day would be 43,200 lines
        self._answering = answered
        if answered:
            _log.info("source.answers")
        else:
            _log.warning("source.unavailable", error=str(error), error_type=type(error).__name__)
