"""Who computes when: the slots that all versions' batches share.

A batch in one slot has its share of the processors; a batch in all of them has every processor.

Invariant: slots are given in the order in which they were asked for, so a batch that wants all of them waits
no longer than those before it take. Used from the event loop's thread only.
"""

from collections import deque
from collections.abc import Callable

Begin = Callable[["Turn"], None]
"""Makes use of a turn; called once, when it has come."""


class Slots:
    """Slots to compute in.

    Args:
        number: how many there are.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._free = number
        self._waiting: deque[tuple[int, Begin]] = deque()

    @property
    def waiting(self) -> int:
        """How many have asked and wait."""
        return len(self._waiting)

    def ask(self, number: int, begin: Begin) -> None:
        """Call `begin` with so many slots, all at once: now, or in the moment when they are given back."""
        self._waiting.append((number, begin))
        self._hand_out()

    def take_rest(self, held: int) -> bool:
        """Take all that are left, if nobody else has any or waits; a turn does it."""
        if self._waiting or self._free + held < self.number:
            return False
        self._free = 0
        return True

    def give_back(self, number: int) -> None:
        """Free so many and hand them to who waits; a turn does it."""
        self._free += number
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            number, begin = self._waiting.popleft()
            self._free -= number
            begin(Turn(self, number))


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
        held, self._held = self._held, 0
        self._slots.give_back(held)
