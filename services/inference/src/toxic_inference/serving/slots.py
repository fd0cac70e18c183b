"""Who computes when: the slots that all versions' batches share.

A batch in one slot has its share of the processors; a batch in all of them has every processor.

Invariant: slots are given in the order in which they were asked for, so a batch that wants all of them waits
no longer than those before it take. Used from the event loop's thread only.
"""

import asyncio
from collections import deque


class Slots:
    """Slots to compute in.

    Args:
        number: how many there are.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._free = number
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, number: int) -> "Turn":
        """Wait for so many slots, all at once."""
        if self._waiting or self._free < number:
            given = asyncio.get_running_loop().create_future()
            self._waiting.append((number, given))
            try:
                await given
            except asyncio.CancelledError:
                if given.done() and not given.cancelled():
                    self.give_back(number)
                raise
        else:
            self._free -= number
        return Turn(self, number)

    def take_rest(self, held: int) -> bool:
        """Take all that are left, if nobody else has any or waits; a turn does it."""
        if self._waiting or self._free + held < self.number:
            return False
        self._free = 0
        return True

    def give_back(self, number: int) -> None:
        """Free so many and hand them to who waits; a turn does it."""
        self._free += number
        while self._waiting:
            wanted, given = self._waiting[0]
            if not given.done() and wanted > self._free:
                return
            self._waiting.popleft()
            if not given.done():  # who was cancelled wants nothing any more
                self._free -= wanted
                given.set_result(None)


class Turn:
    """Slots that are held, until `end`."""

    def __init__(self, slots: Slots, held: int) -> None:
        self._slots = slots
        self._held = held

    @property
    def share(self) -> float:
        """Which part of the processors it is."""
        return self._held / self._slots.number

    @property
    def whole(self) -> bool:
        """Whether it is all of them."""
        return self._held == self._slots.number

    def widen(self) -> None:
        """Take the other slots as well, if nobody has or wants them."""
        if self._slots.take_rest(self._held):
            self._held = self._slots.number

    def end(self) -> None:
        """Give the slots back."""
        self._slots.give_back(self._held)
        self._held = 0
