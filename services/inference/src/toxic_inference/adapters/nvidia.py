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
    """Reads the GPUs that the driver lists at the start."""

    def __init__(self) -> None:
        self._handles: list[object] = []
        if pynvml is None:
            return
        try:
            pynvml.nvmlInit()
            count = pynvml.nvmlDeviceGetCount()
            self._handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
        except pynvml.NVMLError as error:
            _log.debug("gpu.none", reason=str(error))

    def read(self) -> Sequence[GpuReading]:
        """Return a reading of each GPU that answers."""
        readings: list[GpuReading] = []
        for index, handle in enumerate(self._handles):
            try:
                memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
                busy = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / _PERCENT
            except pynvml.NVMLError as error:
                _log.warning("gpu.unreadable", gpu=index, reason=str(error))
            else:
                readings.append(GpuReading(index, busy, int(memory.used), int(memory.total)))
        return readings
