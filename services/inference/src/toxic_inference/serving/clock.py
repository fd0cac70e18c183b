"""Time, as the serving core asks for it.

Invariant: nothing under `serving` reads the time or sleeps but through a `Clock`, so that tests own it.
"""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """A monotonic clock that can be waited on."""

    def now(self) -> float:
        """Return seconds since some fixed moment."""
        ...

    async def wait(self, event: asyncio.Event, *, at_most_seconds: float | None) -> None:
        """Return once `event` is set, or when that many seconds have passed; None waits for the event."""
        ...


class SystemClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        """Return seconds since some fixed moment."""
        return time.monotonic()

    async def wait(self, event: asyncio.Event, *, at_most_seconds: float | None) -> None:
        """Return once `event` is set, or when that many seconds have passed; None waits for the event."""
        try:
            async with asyncio.timeout(at_most_seconds):
                await event.wait()
        except TimeoutError:
            return
