"""What is said of a metric before it exists: its name, kind, unit, labels, meaning, and what to do.

Invariant: a label's values are bounded, and how is said in `LABEL_VALUES`; a name ends in its unit, by
Prometheus's conventions (https://prometheus.io/docs/practices/naming/), and a counter's in `_total`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

PREFIX: Final = "toxic_inference_"


class Kind(StrEnum):
    """A metric's type, as Prometheus names it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


LABEL_VALUES: Final = {
    "alias": "a served alias: `champion`, `challenger`, or one of `INFERENCE_SERVED_ALIASES`",
    "code_revision": "one a version: the commit that its training code was at",
    "created": "one a version: the day it was sealed",
    "runtime": "one a version: openvino-int8, openvino-bfloat16, openvino-float32 or tensorflow-float32",
    "encoder": "one a version: the encoder that was fine-tuned",
    "gpu": "the device's number, from 0",
    "label": "the six labels: `toxic`, `severe_toxic`, `obscene`, `threat`, `insult`, `identity_hate`",
    "language": "the languages of the version's contract, `other` for any other, `und` where none was given",
    "method": "an HTTP method, or `OTHER`",
    "outcome": "what became of it; an enumeration",
    "python": "one a process: Python's version",
    "reason": "why; an enumeration",
    "release": "one a process: the service's own version",
    "route": "a route's template, or `unmatched`",
    "said": "`yes` or `no`",
    "source": "the door it came through: `native`, `page`, `perspective`",
    "state": "of a version: `new`, `loading`, `available`, `failed`, `draining`, `unloading`, `ended`",
    "status": "an HTTP status; 499 where the caller left before the answer",
    "version": "a model version that is loaded here; its series go when it is forgotten",
    "window": "`1h` or `24h`, sliding",
}
"""Every label and what bounds its values."""

UNITS: Final = {
    "bytes": "bytes",
    "in_progress": "how many",
    "info": "always 1",
    "js_distance": "0 to 1",
    "psi": "0 and up; 0.1 is little, 0.2 much",
    "ratio": "0 to 1",
    "rows": "rows",
    "seconds": "seconds",
    "state": "1 or 0",
    "texts": "texts",
    "tokens": "tokens",
    "up": "1 or 0",
}
"""How the name of a gauge or histogram ends, and what its value is then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One metric.

    Attributes:
        name: as it is scraped, but for a histogram's endings.
        kind: counter, gauge or histogram.
        unit: of its value, and, but for counters, the end of its name.
        means: what it says, in one sentence.
        todo: what an operator does about it.
        labels: names of its labels, each in `LABEL_VALUES`.
        buckets: upper bounds of a histogram's buckets.
    """

    name: str
    kind: Kind
    unit: str
    means: str
    todo: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @classmethod
    def counter(cls, name: str, *, unit: str, means: str, todo: str, labels: tuple[str, ...] = ()) -> Self:
        """Describe a counter; `name` goes without prefix and `_total`."""
        full = f"{PREFIX}{name}_total"
        return cls(name=full, kind=Kind.COUNTER, unit=unit, means=means, todo=todo, labels=labels)

    @classmethod
    def gauge(cls, name: str, *, unit: str, means: str, todo: str, labels: tuple[str, ...] = ()) -> Self:
        """Describe a gauge; `name` goes without prefix and unit, `unit` as it ends the name."""
        full = f"{PREFIX}{name}_{unit}"
        return cls(name=full, kind=Kind.GAUGE, unit=unit, means=means, todo=todo, labels=labels)

    @classmethod
    def histogram(
        cls,
        name: str,
        *,
        unit: str,
        means: str,
        todo: str,
        buckets: tuple[float, ...],
        labels: tuple[str, ...] = (),
    ) -> Self:
        """Describe a histogram; `name` goes without prefix and unit, `unit` as it ends the name."""
        full = f"{PREFIX}{name}_{unit}"
        kind = Kind.HISTOGRAM
        return cls(name=full, kind=kind, unit=unit, means=means, todo=todo, labels=labels, buckets=buckets)


def counter_family(spec: Spec) -> CounterMetricFamily:
    """Return what a collector fills with a counter's samples."""
    return CounterMetricFamily(spec.name, spec.means, labels=spec.labels)


def gauge_family(spec: Spec) -> GaugeMetricFamily:
    """Return what a collector fills with a gauge's samples."""
    return GaugeMetricFamily(spec.name, spec.means, labels=spec.labels)


def histogram_family(spec: Spec) -> HistogramMetricFamily:
    """Return what a collector fills with a histogram's samples."""
    return HistogramMetricFamily(spec.name, spec.means, labels=spec.labels)
