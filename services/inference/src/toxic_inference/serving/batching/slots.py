"""Shares of the processors that all versions' batches take turns with.

A batch in one slot has its share of the processors; a batch in all of them has every processor.

Invariant: slots are granted in the order of asking, so a batch that needs all of them waits no longer than
the batches asked for before it. Used from the event loop's thread only.
"""

from collections import deque
from collections.abc import Callable

Begin = Callable[["Turn"], None]
"""Uses a turn; called once, when it is granted."""


class Slots:
    """A fixed number of slots to compute in.

    Args:
        number: how many there are.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._free = number
        self._waiting: deque[tuple[int, Begin]] = deque()

    @property
    def idle(self) -> bool:
        """Whether no turn holds slots or waits for some."""
        return self._free == self.number and not self._waiting

    @property
    def waiting(self) -> int:
        """How many requests for a turn wait."""
        return len(self._waiting)

    def ask(self, number: int, begin: Begin) -> None:
        """Call `begin` with so many slots at once: now, or as soon as they are given back."""
        self._waiting.append((number, begin))
        self._grant()

    def take_rest(self, held: int) -> bool:
        """Take all that are left, unless another turn holds or waits for slots; called by a turn."""
        if self._waiting or self._free + held < self.number:
            return False
        self._free = 0
        return True

    def give_back(self, number: int) -> None:
        """Free so many and grant the next turns; called by a turn."""
        self._free += number
        self._grant()

    def _grant(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            number, begin = self._waiting.popleft()
            self._free -= number
            begin(Turn(self, number))


class Turn:
    """Slots that are held until `end`."""

    def __init__(self, slots: Slots, held: int) -> None:
        self._slots = slots
        self._held = held

    @property
    def share(self) -> float:
        """The share of the processors."""
        return self._held / self._slots.number

    @property
    def whole(self) -> bool:
        """Whether it is all of them."""
        return self._held == self._slots.number

    def widen(self) -> None:
        """Take the other slots too, unless another turn holds or waits for slots."""
        if self._slots.take_rest(self._held):
            self._held = self._slots.number

    def end(self) -> None:
        """Give the slots back."""
        held, self._held = self._held, 0
        self._slots.give_back(held)
