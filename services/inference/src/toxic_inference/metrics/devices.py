"""Metrics of the machine's GPUs and disks.

Invariant: a scrape never fails because of a device; a device that can't be read has no series.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import disk_usage

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from toxic_inference.metrics.traffic import gauge_family
from toxic_inference.monitoring.devices import GpuReading

_NAMES = "gpu_utilisation_ratio", "gpu_memory_used_bytes", "gpu_memory_bytes"


@dataclass(frozen=True)
class GpuCollector(Collector):
    """Reads the GPUs at every scrape; `read` takes about a millisecond and never raises."""

    read: Callable[[], Sequence[GpuReading]]

    def describe(self) -> Iterable[Metric]:
        """Return the metrics without samples."""
        return map(gauge_family, _NAMES)

    def collect(self) -> Iterator[Metric]:
        """Return the GPUs' readings."""
        utilisation, used, total = map(gauge_family, _NAMES)
        for reading in self.read():
            gpu = (str(reading.index),)
            utilisation.add_metric(gpu, reading.utilisation)
            used.add_metric(gpu, reading.used_bytes)
            total.add_metric(gpu, reading.total_bytes)
        yield from (utilisation, used, total)


@dataclass(frozen=True, eq=False)
class DiskCollector(Collector):
    """Asks for the space on the disk of each folder at every scrape; `folders` by the label's value."""

    folders: Mapping[str, Path]

    def describe(self) -> Iterable[Metric]:
        """Return the metrics without samples."""
        return map(gauge_family, ("disk_free_bytes", "disk_bytes"))

    def collect(self) -> Iterator[Metric]:
        """Return the space of every folder that exists."""
        free, total = map(gauge_family, ("disk_free_bytes", "disk_bytes"))
        for name, folder in self.folders.items():
            with suppress(OSError):
                usage = disk_usage(folder)
                free.add_metric((name,), usage.free)
                total.add_metric((name,), usage.total)
        yield from (free, total)
