"""Metrics of the machine's GPUs.

Invariant: a scrape never fails because of a device; a device that can't be read has no series.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from toxic_inference.metrics.catalogue import service as catalogue
from toxic_inference.metrics.traffic import gauge_family
from toxic_inference.monitoring.devices import GpuReading

_SPECS = catalogue.GPU_UTILISATION, catalogue.GPU_MEMORY_USED, catalogue.GPU_MEMORY


class GpuCollector(Collector):
    """Reads the GPUs at every scrape.

    Args:
        read: returns a reading of each GPU; takes about a millisecond and never raises.
    """

    def __init__(self, read: Callable[[], Sequence[GpuReading]]) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        """Return the metrics without samples."""
        return [gauge_family(spec) for spec in _SPECS]

    def collect(self) -> Iterator[Metric]:
        """Return the GPUs' readings."""
        utilisation, used, total = (gauge_family(spec) for spec in _SPECS)
        for reading in self._read():
            gpu = (str(reading.index),)
            utilisation.add_metric(gpu, reading.utilisation)
            used.add_metric(gpu, reading.used_bytes)
            total.add_metric(gpu, reading.total_bytes)
        yield from (utilisation, used, total)
