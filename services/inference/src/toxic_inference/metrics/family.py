"""What the groups of metrics have in common: the registry that they make the catalogue's metrics in."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from toxic_inference.metrics.catalogue import Spec


class MetricFamily:
    """A group of metrics in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry

    def counter(self, spec: Spec) -> Counter:
        """Return the counter, registered."""
        return Counter(spec.name, spec.means, spec.labels, registry=self.registry)

    def gauge(self, spec: Spec) -> Gauge:
        """Return the gauge, registered."""
        return Gauge(spec.name, spec.means, spec.labels, registry=self.registry)

    def histogram(self, spec: Spec) -> Histogram:
        """Return the histogram, registered."""
        return Histogram(spec.name, spec.means, spec.labels, buckets=spec.buckets, registry=self.registry)
