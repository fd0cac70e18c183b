"""NVIDIA's GPUs, by the driver's own library (NVML).

A machine without a driver or without the package `nvidia-ml-py` has no GPUs, which is no error.
"""

from collections.abc import Sequence
from typing import Final

import structlog

from toxic_inference.monitoring.devices import GpuReading

try:
    import pynvml
except ImportError:  # only installed with the extra `gpu`
    pynvml = None

_log = structlog.get_logger(__name__)

_PERCENT: Final = 100


class NvidiaReader:
    """Implements `GpuReader`."""

    def __init__(self) -> None:
        self._handles = _handles()

    def read(self) -> Sequence[GpuReading]:
        """Return a reading of each GPU that answers."""
        return [reading for index, handle in enumerate(self._handles) for reading in _read(index, handle)]


def _handles() -> list[object]:
    if pynvml is None:
        return []
    try:
        pynvml.nvmlInit()
        return [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError as error:
        _log.debug("gpu.none", reason=str(error))
        return []


def _read(index: int, handle: object) -> list[GpuReading]:
    try:
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        busy = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / _PERCENT
    except pynvml.NVMLError as error:
        _log.warning("gpu.unreadable", gpu=index, reason=str(error))
        return []
    return [GpuReading(index, utilisation=busy, used_bytes=int(memory.used), total_bytes=int(memory.total))]
