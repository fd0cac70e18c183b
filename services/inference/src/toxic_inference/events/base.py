"""What every event is, and what receives it."""

from collections.abc import Callable


class Event:
    """Something that happened. Subclasses are frozen and slotted."""

    __slots__ = ()


Emit = Callable[[Event], None]
"""Receives every event."""


def ignore(event: Event) -> None:
    """Do nothing with an event; what `emit` is when metrics are off."""
