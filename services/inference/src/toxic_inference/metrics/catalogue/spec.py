"""The description of a metric: name, kind, unit, labels, meaning, what to do, and the events that move it.

Invariant: a label's values are bounded, as `LABEL_VALUES` describes. By Prometheus's conventions
(https://prometheus.io/docs/practices/naming/) a name ends in its unit, and a counter's in `_total`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, TypeVar, cast

from toxic_inference.events import Event

PREFIX: Final = "toxic_inference_"


class Kind(StrEnum):
    """A metric's type, as Prometheus names it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


LABEL_VALUES: Final = {
    "alias": "a served alias: `champion`, `challenger`, or one of `INFERENCE_SERVED_ALIASES`",
    "code_revision": "one per version: the commit of its training code",
    "created": "one per version: the day on which its bundle was sealed",
    "runtime": "one per version: openvino-int8, openvino-bfloat16, openvino-float32 or tensorflow-float32",
    "door": "a door's name, such as `native` (docs/doors.md), or `none`",
    "encoder": "one per version: the encoder that was fine-tuned",
    "gpu": "the device's number, from 0",
    "label": "the labels of the served versions' contracts, such as `toxic`",
    "language": "the languages of the version's contract, `other` for any other, `und` if none was given",
    "method": "an HTTP method, or `OTHER`",
    "outcome": "the result; an enumeration",
    "python": "one per process: Python's version",
    "reason": "the cause; an enumeration",
    "release": "one per process: the service's own version",
    "route": "a route's template, or `unmatched`",
    "said": "`yes` or `no`",
    "scores": "`yes` if the route scores texts, else `no`",
    "source": "the door that a correction came through: `native`, `page`, `perspective`",
    "state": "of a version: `new`, `loading`, `available`, `failed`, `draining`, `unloading`, `ended`",
    "status": "an HTTP status; 499 if the caller left before the answer",
    "version": "a model version that is loaded here; its series are removed when it is forgotten",
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
"""The last part of a gauge's or histogram's name, and the unit that it stands for."""

AnyEvent = TypeVar("AnyEvent", bound=Event)


@dataclass(frozen=True, slots=True)
class Trigger:
    """An event that moves a metric.

    The metric's labels are attributes of the event with the same names.

    Attributes:
        event: its class.
        amount: by how much (counters, gauges with `inc`), or the value (histograms, gauges with `set`).
        move: the method of prometheus_client that takes the amount.
    """

    event: type[Event]
    amount: Callable[[Event], float]
    move: Literal["inc", "observe", "set"]


def _one(_event: Event) -> float:
    return 1


def counts(event: type[AnyEvent], amount: Callable[[AnyEvent], float] = _one) -> Trigger:
    """Return a trigger that adds `amount` (1 by default)."""
    return Trigger(event, cast("Callable[[Event], float]", amount), "inc")


def observes(event: type[AnyEvent], value: Callable[[AnyEvent], float]) -> Trigger:
    """Return a trigger that observes `value` in a histogram."""
    return Trigger(event, cast("Callable[[Event], float]", value), "observe")


def sets(event: type[AnyEvent], value: Callable[[AnyEvent], float]) -> Trigger:
    """Return a trigger that sets a gauge to `value`."""
    return Trigger(event, cast("Callable[[Event], float]", value), "set")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One metric.

    Attributes:
        name: as it is scraped, without a histogram's endings.
        kind: counter, gauge or histogram.
        unit: of its value, and, except for counters, the end of its name.
        means: what it measures, in one sentence.
        todo: what an operator does about it.
        labels: names of its labels, each in `LABEL_VALUES`.
        buckets: upper bounds of a histogram's buckets.
        on: the events that move it; empty if code in `metrics` fills it.
        starts: label values whose series exist from the start, so that a rate includes their first event.
    """

    name: str
    kind: Kind
    unit: str
    means: str
    todo: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    on: tuple[Trigger, ...] = ()
    starts: tuple[str, ...] = ()


def counter(
    name: str,
    unit: str,
    *,
    means: str,
    todo: str,
    labels: tuple[str, ...] = (),
    on: tuple[Trigger, ...] = (),
    starts: tuple[str, ...] = (),
) -> Spec:
    """Describe a counter; `name` is without prefix and `_total`."""
    full = f"{PREFIX}{name}_total"
    kind = Kind.COUNTER
    return Spec(name=full, kind=kind, unit=unit, means=means, todo=todo, labels=labels, on=on, starts=starts)


def gauge(
    name: str,
    unit: str,
    *,
    means: str,
    todo: str,
    labels: tuple[str, ...] = (),
    on: tuple[Trigger, ...] = (),
) -> Spec:
    """Describe a gauge; `name` is without prefix and unit."""
    full = f"{PREFIX}{name}_{unit}"
    return Spec(name=full, kind=Kind.GAUGE, unit=unit, means=means, todo=todo, labels=labels, on=on)


def histogram(
    name: str,
    unit: str,
    *,
    means: str,
    todo: str,
    buckets: tuple[float, ...],
    labels: tuple[str, ...] = (),
    on: tuple[Trigger, ...] = (),
) -> Spec:
    """Describe a histogram; `name` is without prefix and unit."""
    full = f"{PREFIX}{name}_{unit}"
    kind = Kind.HISTOGRAM
    return Spec(
        name=full, kind=kind, unit=unit, means=means, todo=todo, labels=labels, buckets=buckets, on=on
    )
