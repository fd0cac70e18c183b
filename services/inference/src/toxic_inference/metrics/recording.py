"""Moves the catalogue's metrics when events come in.

Invariant: label values are looked up once per event, and each combination's series once in all: a look-up in
prometheus_client costs as much as a count.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from operator import attrgetter
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from toxic_inference.events import Event
from toxic_inference.metrics.catalogue import SPECS, Kind, Spec
from toxic_inference.metrics.catalogue.spec import PREFIX, Trigger

AnyEvent = TypeVar("AnyEvent", bound=Event)


def make_gauge(name: str, registry: CollectorRegistry) -> Gauge:
    """Return a gauge of the catalogue, registered, for code that fills it itself."""
    spec = SPECS[name]
    return Gauge(spec.name, spec.means, spec.labels, registry=registry)


@dataclass(frozen=True, slots=True)
class _Group:
    """The metrics with the same labels that one class of events moves."""

    labels: tuple[str, ...]
    key: Callable[[Event], object]
    triggers: list[tuple[Counter | Gauge | Histogram, Trigger]] = field(default_factory=list)
    series: dict[object, list[tuple[Callable[[Event], float], Callable[[float], None]]]] = field(
        default_factory=dict
    )

    def move(self, event: Event) -> None:
        """Move every metric."""
        key = self.key(event)
        moves = self.series.get(key)
        if moves is None:
            values = [getattr(event, label) for label in self.labels]
            series = ((metric.labels(*values) if values else metric, on) for metric, on in self.triggers)
            moves = self.series[key] = [(on.amount, getattr(metric, on.move)) for metric, on in series]
        for amount, move in moves:
            move(amount(event))


class Recorder:
    """Makes every metric that events move, and moves it; the others are left to other code."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._metrics: dict[tuple[str, ...], list[Counter | Gauge | Histogram]] = defaultdict(list)
        self._handlers: dict[type[Event], list[Callable[[Event], None]]] = defaultdict(list)
        self._groups: dict[tuple[type[Event], tuple[str, ...]], _Group] = {}
        self._openings: list[tuple[Counter | Gauge | Histogram, Spec]] = []
        for spec in SPECS.values():
            if not spec.triggers:
                continue
            metric: Counter | Gauge | Histogram
            if spec.kind is Kind.HISTOGRAM:
                metric = Histogram(
                    spec.name, spec.means, spec.labels, buckets=spec.buckets, registry=registry
                )
            else:
                cls = Counter if spec.kind is Kind.COUNTER else Gauge
                metric = cls(spec.name, spec.means, spec.labels, registry=registry)
            self._metrics[spec.labels].append(metric)
            if spec.kind is not Kind.GAUGE:
                self._openings.append((metric, spec))
            for trigger in spec.triggers:
                key = trigger.event, spec.labels
                if key not in self._groups:
                    by = attrgetter(*spec.labels) if spec.labels else lambda _: None
                    self._groups[key] = _Group(spec.labels, by)
                    self._handlers[trigger.event].append(self._groups[key].move)
                self._groups[key].triggers.append((metric, trigger))
        self.open()

    def emit(self, event: Event) -> None:
        """Take an event in; implements `Emit`."""
        for handle in self._handlers.get(type(event), ()):
            handle(event)

    def handles(self, event: type[Event]) -> bool:
        """Return whether events of a class move a metric or are handled otherwise."""
        return event in self._handlers

    def handle(self, event: type[AnyEvent], handler: Callable[[AnyEvent], None]) -> None:
        """Call `handler` with each event of a class as well."""
        self._handlers[event].append(handler)  # type: ignore[arg-type]  # only called with this class

    def totals(self, version: str) -> dict[str, float]:
        """Return a version's counters, and the counts and sums of its histograms, by name without prefix.

        Of counters by outcome, the name ends with the outcome, such as `version_sessions_total_failed`.
        """
        found: dict[str, float] = {}
        for metric in (*self._metrics["version",], *self._metrics["version", "outcome"]):
            for sample in (sample for family in metric.collect() for sample in family.samples):
                if sample.labels["version"] == version and "le" not in sample.labels:
                    name, outcome = sample.name.removeprefix(PREFIX), sample.labels.get("outcome")
                    found[name if outcome is None else f"{name}_{outcome}"] = sample.value
        return found

    def forget(self, version: str) -> None:
        """Remove a version's series."""
        for labels, metrics in self._metrics.items():
            if "version" in labels:
                for metric in metrics:
                    metric.remove_by_labels({"version": version})
        for group in self._groups.values():
            group.series.clear()

    def open(self, **known: str) -> None:
        """Open the series with these label values at 0, so that a rate includes their first event.

        A metric is opened if `known` has a value for each label that its `starts` don't list, and it has such
        a label; without `known`, if `starts` list them all.
        """
        for metric, spec in self._openings:
            rest = set(spec.labels) - spec.starts.keys()
            if spec.labels and rest <= known.keys() and bool(rest) is bool(known):
                for values in product(*(spec.starts.get(label) or (known[label],) for label in spec.labels)):
                    metric.labels(*values)
