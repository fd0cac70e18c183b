"""Progress that a person can follow: which step, how many, how long each took.

Invariant: every line is flushed at once, so that it is in order with the output of child processes.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO


class Steps:
    """Counts the steps of one command."""

    def __init__(self, total: int, *, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._total = total
        self._out = out
        self._clock = clock
        self._began = clock()
        self._number = 0

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Announce a step, and print afterwards how long it took or that it failed."""
        self._number += 1
        began = self._clock()
        self._say(f"{what} …")
        try:
            yield
        except BaseException:
            self._say(f"{what} … not finished after {self._clock() - began:.1f} s")
            raise
        self._say(f"{what} … took {self._clock() - began:.1f} s")

    def seconds(self) -> float:
        """Return the time since the first step."""
        return self._clock() - self._began

    def _say(self, text: str) -> None:
        say(f"step {self._number}/{self._total}: {text}", out=self._out)


def say(text: str, *, out: TextIO) -> None:
    """Write a line, at once."""
    print(text, file=out, flush=True)
