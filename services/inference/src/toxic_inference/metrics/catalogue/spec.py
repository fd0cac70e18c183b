"""The catalogue of metrics, read from `catalogue.toml`, which explains its members."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.resources import files
from operator import attrgetter
from typing import Final

from pydantic import ConfigDict, TypeAdapter

from toxic_inference import events
from toxic_inference.events import Event

PREFIX: Final = "toxic_inference_"


class Kind(StrEnum):
    """A metric's type, as Prometheus names it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Trigger:
    """An event that moves a metric.

    Attributes:
        event: its class.
        amount: by how much (`inc`), or the value (`observe`, `set`).
        move: the method of prometheus_client that takes the amount.
    """

    event: type[Event]
    amount: Callable[[Event], float]
    move: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spec:
    """One metric, as an entry of `catalogue.toml` describes it; its name has the prefix."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    kind: Kind
    unit: str
    means: str
    todo: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    starts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    inc: Mapping[str, float | str] = field(default_factory=dict)
    observe: Mapping[str, float | str] = field(default_factory=dict)
    set: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def triggers(self) -> tuple[Trigger, ...]:
        """The events that move it; the metric's labels are attributes of each."""

        def amount_of(amount: float | str) -> Callable[[Event], float]:
            return attrgetter(amount) if isinstance(amount, str) else lambda _: amount

        return tuple(
            Trigger(getattr(events, event), amount_of(amount), move)
            for move in ("inc", "observe", "set")
            for event, amount in getattr(self, move).items()
        )


_FILE: Final = tomllib.loads(files(__package__).joinpath("catalogue.toml").read_text(encoding="utf-8"))
_DESCRIPTIONS: Final = TypeAdapter(dict[str, str])

SECTIONS: Final = {
    section: TypeAdapter(dict[str, Spec]).validate_python(
        {name: {"name": PREFIX + name} | entry for name, entry in _FILE[section].items()}
    )
    for section in ("service", "model")
}
"""The metrics of each section of the document, by name without the prefix."""

SPECS: Final = SECTIONS["service"] | SECTIONS["model"]
"""Every metric, by name without the prefix."""

LABEL_VALUES: Final = _DESCRIPTIONS.validate_python(_FILE["labels"])
"""Every label and what bounds its values."""

UNITS: Final = _DESCRIPTIONS.validate_python(_FILE["units"])
"""The last part of a gauge's or histogram's name, and the unit that it stands for."""

STANDARD: Final = _DESCRIPTIONS.validate_python(_FILE["process"])
"""The metrics that prometheus_client has for any process."""
