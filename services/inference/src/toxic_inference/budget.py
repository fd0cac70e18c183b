"""Amounts that callers share, such as disk space: reserved before they are used.

Invariant: a caller never holds more than its share, and all callers together never more than the total.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock


class Budget:
    """A total that callers reserve parts of. Thread-safe.

    Args:
        total: most that is reserved at a time.
        refusal: returns the error of a reservation that doesn't fit.
        share: most that one caller reserves, of the total.
    """

    def __init__(self, total: int, refusal: Callable[[], Exception], *, share: float = 0.5) -> None:
        self._total = total
        self._refusal = refusal
        self._share = max(int(total * share), 1)
        self._by_caller: Counter[str] = Counter()
        # Their sum, kept beside them: there may be millions of callers.
        self._used = 0
        self._lock = Lock()

    @property
    def used(self) -> int:
        """What is reserved."""
        return self._used

    def reserve(self, caller: str, amount: int, *, always: bool = False) -> None:
        """Reserve an amount, negative to give it back; `always` even if it doesn't fit: it is used already.

        Raises:
            Exception: the refusal; the reservation isn't made.
        """
        with self._lock:
            held = self._by_caller[caller]
            fits = self._used + amount <= self._total and held + amount <= self._share
            if fits or always:
                self._by_caller[caller] = max(held + amount, 0)
                self._used += self._by_caller[caller] - held
            if not self._by_caller[caller]:
                del self._by_caller[caller]
        if not (fits or always):
            raise self._refusal()

    def release(self, caller: str, amount: int) -> None:
        """Give back a part of what a caller reserved."""
        self.reserve(caller, -amount, always=True)

    @contextmanager
    def hold(self, caller: str) -> Iterator["Held"]:
        """Return a reservation that grows, and is released at the end."""
        held = Held(self, caller)
        try:
            yield held
        finally:
            held.release()


class Held:
    """What one activity of a caller has reserved."""

    def __init__(self, budget: Budget, caller: str) -> None:
        self._budget = budget
        self._caller = caller
        self._amount = 0

    def grow(self, amount: int) -> None:
        """Reserve so much more; raises as `Budget.reserve`."""
        self._budget.reserve(self._caller, amount)
        self._amount += amount

    def settle(self, amount: int) -> None:
        """Hold what is used in fact, even if it doesn't fit."""
        self._budget.reserve(self._caller, amount - self._amount, always=True)
        self._amount = amount

    def release(self) -> None:
        """Give everything back; may be called again."""
        self.settle(0)
