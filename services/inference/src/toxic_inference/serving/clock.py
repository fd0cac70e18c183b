"""The clock of the serving core.

Invariant: code under `serving` reads the time and sleeps only through a `Clock`, so that tests control it.
"""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """A monotonic clock that can be waited on."""

    def now(self) -> float:
        """Return seconds since a fixed moment."""
        ...

    async def wait(self, event: asyncio.Event, *, at_most_seconds: float | None) -> None:
        """Return when `event` is set, or after so many seconds; None waits for the event."""
        ...


class SystemClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        """Return seconds since a fixed moment."""
        return time.monotonic()

    async def wait(self, event: asyncio.Event, *, at_most_seconds: float | None) -> None:
        """Return when `event` is set, or after so many seconds; None waits for the event."""
        try:
            async with asyncio.timeout(at_most_seconds):
                await event.wait()
        except TimeoutError:
            return
