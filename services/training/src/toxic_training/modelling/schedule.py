"""The progress of training and its learning rate.

Invariant: the rate is near zero at the end, whether the steps or the time limit end training. If the steps
do, the rate depends on them alone.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

Clock = Callable[[], float]


def learning_rate_at(progress: float, *, peak: float, warmup_fraction: float) -> float:
    """Return the rate of linear warm-up followed by linear decay (Devlin et al., 2019).

    Args:
        progress: share of training that is done, 0 to 1.
        peak: the highest rate.
        warmup_fraction: share of training for the warm-up.
    """
    if progress < warmup_fraction:
        return peak * progress / warmup_fraction
    return peak * max(0.0, 1.0 - progress) / max(1e-9, 1.0 - warmup_fraction)


@dataclass(slots=True)
class Progress:
    """Steps and monotonic seconds against their limits. A resumed run continues the counts."""

    planned_steps: int
    budget_seconds: float
    clock: Clock = time.monotonic
    steps: int = 0
    seconds_before: float = 0.0
    _started: float = field(init=False)
    _steps_at_start: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._started = self.clock()

    def resume(self, *, steps: int, seconds: float) -> None:
        """Continue after `steps` for which earlier runs needed `seconds`."""
        self.steps = self._steps_at_start = steps
        self.seconds_before = seconds
        self._started = self.clock()

    @property
    def seconds(self) -> float:
        """Seconds of training, including earlier runs."""
        return self.seconds_before + self.clock() - self._started

    @property
    def share(self) -> float:
        """The larger of the share of steps taken and the share of time spent, 0 to 1."""
        return min(1.0, max(self.steps / self.planned_steps, self.seconds / self.budget_seconds))

    @property
    def next_share(self) -> float:
        """The share of the next step; neither the first nor the last step has a learning rate of zero."""
        steps = (self.steps + 1) / (self.planned_steps + 1)
        return min(1.0, max(steps, self.seconds / self.budget_seconds))

    @property
    def is_over(self) -> bool:
        """Whether steps or time have run out; the first step is always taken."""
        time_is_up = self.steps > 0 and self.seconds >= self.budget_seconds
        return self.steps >= self.planned_steps or time_is_up

    @property
    def seconds_left(self) -> float:
        """An estimate from the speed of this run."""
        taken = max(1, self.steps - self._steps_at_start)
        by_steps = (self.clock() - self._started) / taken * (self.planned_steps - self.steps)
        return max(0.0, min(by_steps, self.budget_seconds - self.seconds))
