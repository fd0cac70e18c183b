"""Moves the catalogue's metrics when events come in.

Invariant: label values are looked up once per event, and each combination's series once in all: a look-up in
prometheus_client costs as much as a count.
"""

from collections import defaultdict
from collections.abc import Callable
from operator import attrgetter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from toxic_inference.events import Event
from toxic_inference.metrics.catalogue.spec import AnyEvent, Kind, Spec, Trigger

AnyMetric = Counter | Gauge | Histogram
_Move = tuple[Callable[[Event], float], Callable[[float], None]]


def make(spec: Spec, registry: CollectorRegistry) -> AnyMetric:
    """Return the catalogue's metric, registered."""
    if spec.kind is Kind.HISTOGRAM:
        return Histogram(spec.name, spec.means, spec.labels, buckets=spec.buckets, registry=registry)
    cls = Counter if spec.kind is Kind.COUNTER else Gauge
    return cls(spec.name, spec.means, spec.labels, registry=registry)


def make_gauge(spec: Spec, registry: CollectorRegistry) -> Gauge:
    """Return the catalogue's gauge, registered, for code that fills it itself."""
    return Gauge(spec.name, spec.means, spec.labels, registry=registry)


class Recorder:
    """Makes every metric that events move, and moves it.

    Args:
        specs: the catalogue; metrics without triggers are left to others.
        registry: where to register the metrics.
    """

    def __init__(self, specs: tuple[Spec, ...], registry: CollectorRegistry) -> None:
        self._metrics = {spec: make(spec, registry) for spec in specs if spec.on}
        self._handlers: dict[type[Event], list[Callable[[Event], None]]] = defaultdict(list)
        groups: dict[tuple[type[Event], tuple[str, ...]], _Group] = {}
        for spec, metric in self._metrics.items():
            for start in spec.starts:
                metric.labels(start)
            for trigger in spec.on:
                key = trigger.event, spec.labels
                groups.setdefault(key, _Group(spec.labels)).add(metric, trigger)
        for (event, _), group in groups.items():
            self._handlers[event].append(group.handler())
        self._groups = tuple(groups.values())

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

    def forget(self, version: str) -> None:
        """Remove a version's series."""
        for spec, metric in self._metrics.items():
            if "version" in spec.labels:
                metric.remove_by_labels({"version": version})
        for group in self._groups:
            group.forget()

    def start(self, *, label: str) -> None:
        """Open the series that have one of a contract's labels, so that a rate includes their first event."""
        for spec, metric in self._metrics.items():
            if spec.labels == ("label",):
                metric.labels(label)
            elif spec.labels == ("label", "said"):
                metric.labels(label, "yes"), metric.labels(label, "no")


class _Group:
    """The metrics with the same labels that one class of events moves."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        self._values = attrgetter(*labels) if labels else None
        self._one = len(labels) == 1
        self._triggers: list[tuple[AnyMetric, Trigger]] = []
        self._series: dict[object, tuple[_Move, ...]] = {}

    def add(self, metric: AnyMetric, trigger: Trigger) -> None:
        self._triggers.append((metric, trigger))

    def handler(self) -> Callable[[Event], None]:
        """Return the handler of the group's events, once every metric was added."""
        if self._values is not None:
            return self._move
        moves = self._open(())

        def move_all(event: Event) -> None:
            for amount, move in moves:
                move(amount(event))

        return move_all

    def forget(self) -> None:
        self._series.clear()

    def _move(self, event: Event) -> None:
        values = self._values(event)  # type: ignore[misc]  # None only without labels
        moves = self._series.get(values)
        if moves is None:
            moves = self._series[values] = self._open((values,) if self._one else values)
        for amount, move in moves:
            move(amount(event))

    def _open(self, values: tuple[str, ...]) -> tuple[_Move, ...]:
        series = [
            (metric.labels(*values) if values else metric, trigger) for metric, trigger in self._triggers
        ]
        return tuple((on.amount, getattr(metric, on.move)) for metric, on in series)
