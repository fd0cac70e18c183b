"""A reading of the machine's GPUs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GpuReading:
    """A reading of one GPU.

    Attributes:
        index: the device's number.
        utilisation: share of the last moments in which it computed.
        used_bytes: memory in use.
        total_bytes: memory of the device.
    """

    index: int
    utilisation: float
    used_bytes: int
    total_bytes: int
