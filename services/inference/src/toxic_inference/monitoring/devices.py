"""What is asked of the machine's accelerators.

Invariant: a reading never fails because of a device; one that can't be read is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class GpuReading:
    """How one GPU does.

    Attributes:
        index: its number.
        utilisation: share of the last moments in which it computed.
        used_bytes: memory in use.
        total_bytes: memory it has.
    """

    index: int
    utilisation: float
    used_bytes: int
    total_bytes: int


class GpuReader(Protocol):
    """Reads the GPUs."""

    def read(self) -> Sequence[GpuReading]:
        """Return a reading of each; nothing where there are none. Takes about a millisecond, never raises."""
        ...
