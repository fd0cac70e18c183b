"""The metrics of Prometheus as OTLP: the same names, labels and values, cumulative since the start.

One catalogue describes both, so there are no instruments of OpenTelemetry beside it.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Sample

_CUMULATIVE = AggregationTemporality.CUMULATIVE
_BOUND = "le"


class Figures:
    """Reads a registry.

    Args:
        registry: the metrics; read on the thread that owns what they show.
        resource: names the service.
        scope: names the source of the metrics.
    """

    def __init__(
        self, registry: CollectorRegistry, *, resource: Resource, scope: InstrumentationScope
    ) -> None:
        self._registry = registry
        self._resource = resource
        self._scope = scope
        self._began = time.time_ns()

    def read(self) -> MetricsData:
        """Return every metric as it is now."""
        now = time.time_ns()
        metrics = [
            Metric(family.name, family.documentation, "", data)
            for family in self._registry.collect()
            if (data := self._data(family, now)).data_points
        ]
        scope = ScopeMetrics(self._scope, metrics, schema_url="")
        return MetricsData([ResourceMetrics(self._resource, [scope], schema_url="")])

    def _data(self, family: Family, now: int) -> Sum | Gauge | Histogram:
        if family.type == "histogram":
            return Histogram(list(self._histograms(family.samples, now)), _CUMULATIVE)
        points = [
            NumberDataPoint(sample.labels, self._began, now, sample.value)
            for sample in family.samples
            if not sample.name.endswith("_created")
        ]
        return Sum(points, _CUMULATIVE, is_monotonic=True) if family.type == "counter" else Gauge(points)

    def _histograms(self, samples: Iterable[Sample], now: int) -> Iterator[HistogramDataPoint]:
        buckets: dict[frozenset[tuple[str, str]], dict[float, int]] = defaultdict(dict)
        sums: dict[frozenset[tuple[str, str]], float] = {}
        for sample in samples:
            labels = frozenset((name, value) for name, value in sample.labels.items() if name != _BOUND)
            if sample.name.endswith("_bucket"):
                buckets[labels][float(sample.labels[_BOUND])] = int(sample.value)
            elif sample.name.endswith("_sum"):
                sums[labels] = sample.value
        for labels, up_to in buckets.items():
            counts = list(up_to.values())  # of all values up to a bound, the last one infinite
            yield HistogramDataPoint(
                dict(labels),
                self._began,
                now,
                count=counts[-1],
                sum=sums[labels],
                bucket_counts=[high - low for low, high in pairwise((0, *counts))],
                explicit_bounds=list(up_to)[:-1],
                min=None,  # type: ignore[arg-type]  # unknown, which OTLP allows
                max=None,  # type: ignore[arg-type]
            )
