"""Makes whoever fails to sign in wait, longer with each failure, per user, per network address, and for both.

Invariant: the table's size is bounded. Guesses from one address delay a user's sign-in from another one by
half a minute at most.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

_MOST_ENTRIES = 10_000
_FORGET_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class _Limit:
    """How many failures are free, and the longest wait after further ones, in seconds."""

    free: int
    longest: float


# Behind a proxy, everyone has one address.
_BOTH, _ADDRESS, _USER = _Limit(5, 300.0), _Limit(20, 30.0), _Limit(50, 30.0)


@dataclass(slots=True)
class _Failures:
    count: int
    until: float


class Lockout:
    """The failures of the last hour. Used from the event loop only.

    Args:
        now: returns a time in seconds that never goes back.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._failures: OrderedDict[tuple[str, ...], _Failures] = OrderedDict()

    def wait_seconds(self, user: str, address: str) -> int:
        """Return the seconds until this user may try again from this address; 0 for at once."""
        now = self._now()
        found = (self._failures.get(key) for key, _ in _keys(user, address))
        return math.ceil(max((each.until - now for each in found if each and each.until > now), default=0.0))

    def is_guessing(self, user: str, address: str) -> bool:
        """Return whether this user must wait at this address for wrong passwords from there."""
        entry = self._failures.get(("both", user, address))
        return entry is not None and entry.until > self._now()

    def failed(self, user: str, address: str) -> None:
        """Count a wrong password."""
        now = self._now()
        for key, limit in _keys(user, address):
            entry = self._failures.pop(key, None)
            if entry is None or entry.until + _FORGET_SECONDS < now:
                entry = _Failures(0, now)
            entry.count += 1
            excess = min(entry.count - limit.free, 30)
            entry.until = now + (min(2.0**excess, limit.longest) if excess > 0 else 0.0)
            self._failures[key] = entry
        while len(self._failures) > _MOST_ENTRIES:
            self._failures.popitem(last=False)

    def succeeded(self, user: str, address: str) -> None:
        """Forget the failures of a user at an address, who has the right password."""
        self._failures.pop(("both", user, address), None)


def _keys(user: str, address: str) -> tuple[tuple[tuple[str, ...], _Limit], ...]:
    return (("both", user, address), _BOTH), (("address", address), _ADDRESS), (("user", user), _USER)
