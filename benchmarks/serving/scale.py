"""How much is done: a look at whether everything works, or the measurement itself."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is done.

    Attributes:
        switches: of the champion.
        requests: during all of them, at least.
        rate: of those, a second.
        sample: requests of a latency figure.
        overload_seconds: how long three times too much is offered.
        rows: of the CSV file.
        rounds: of the overhead.
        attack_seconds: how long each attack lasts, and how long the callers are alone before it.
    """

    switches: int
    requests: int
    rate: float
    sample: int
    overload_seconds: float
    rows: int
    rounds: int
    attack_seconds: float


SCALES = {
    "quick": Scale(3, 1_500, 150.0, 300, 5.0, 5_000, 2, 2.0),
    "full": Scale(20, 50_000, 250.0, 3_000, 60.0, 1_000_000, 7, 8.0),
}

WARM_UP = 200
"""Requests before anything is measured."""
