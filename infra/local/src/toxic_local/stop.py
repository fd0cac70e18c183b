"""Ctrl-C, SIGTERM and SIGHUP, as something that loops can wait for.

Invariant: a signal never interrupts what is under way, such as a process being started and written down; it
is noticed where the code looks, which every loop here does several times a second.
"""

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from toxic_local.errors import StopRequestedError

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignal:
    """Whether to stop. Requested from a signal handler or any thread; waited for by one thread."""

    def __init__(self) -> None:
        # A pipe, not threading.Event: a handler that runs while Event's lock is held would wait for ever.
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._signum: int | None = None

    def request(self, signum: int, _frame: FrameType | None = None) -> None:
        """Ask to stop; only the first signal is remembered."""
        if self._signum is None:
            self._signum = signum
            os.write(self._writer, b".")

    def wait(self, seconds: float) -> bool:
        """Wait up to `seconds` for a request; whether there is one."""
        readable, _, _ = select.select([self._reader], [], [], seconds)
        return bool(readable)

    def check(self) -> None:
        """Raise `StopRequestedError` where there is a request."""
        if self._signum is not None:
            raise StopRequestedError(self._signum)

    def __del__(self) -> None:
        os.close(self._reader)
        os.close(self._writer)


@contextmanager
def stop_on_signals() -> Iterator[StopSignal]:
    """Turn the stop signals into a `StopSignal`; call from the main thread."""
    stop = StopSignal()
    before = {signum: signal.signal(signum, stop.request) for signum in STOP_SIGNALS}
    try:
        yield stop
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
