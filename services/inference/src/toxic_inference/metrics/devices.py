"""The machine's accelerators, where it has some, as series.

Invariant: a scrape never fails because of a device; one that can't be read has no series.
"""

from collections.abc import Iterable, Iterator

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from toxic_inference.metrics.catalogue import service as catalogue
from toxic_inference.metrics.catalogue.spec import gauge_family
from toxic_inference.monitoring.devices import GpuReader


class GpuCollector(Collector):
    """Reads the GPUs when someone scrapes."""

    def __init__(self, reader: GpuReader) -> None:
        self._reader = reader

    def describe(self) -> Iterable[Metric]:
        """Return the metrics without samples."""
        specs = (catalogue.GPU_UTILISATION, catalogue.GPU_MEMORY_USED, catalogue.GPU_MEMORY)
        return [gauge_family(spec) for spec in specs]

    def collect(self) -> Iterator[Metric]:
        """Return what the GPUs say now."""
        utilisation, used = gauge_family(catalogue.GPU_UTILISATION), gauge_family(catalogue.GPU_MEMORY_USED)
        total = gauge_family(catalogue.GPU_MEMORY)
        for reading in self._reader.read():
            gpu = (str(reading.index),)
            utilisation.add_metric(gpu, reading.utilisation)
            used.add_metric(gpu, reading.used_bytes)
            total.add_metric(gpu, reading.total_bytes)
        yield from (utilisation, used, total)
