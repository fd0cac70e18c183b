"""How fast a queue drains, learnt from the batches that ran.

Seconds are of the whole machine: a batch that has half of it for two seconds costs one. A batch costs
something by itself and something for each token, and the two are told apart by the batches' different sizes
(least squares, older batches counting exponentially less). Seconds a token alone would take a hundred waiting
texts for a hundred batches of one, and refuse them on a machine that does them in one.

Invariant: an estimate follows from measured batches alone; before the first one everything is expected to
take no time, so that nobody is refused on a guess.
"""

import math
from dataclasses import dataclass

_SMOOTHING = 0.15
"""Weight of the newest batch: a change of load shows within about seven batches."""


@dataclass(frozen=True, slots=True, eq=False)
class RunningBatch:
    """A batch that runs.

    Attributes:
        tokens: how many it has.
        share: which part of the machine it has.
        since: when it began, on the scheduler's clock.
    """

    tokens: int
    share: float
    since: float


class Pace:
    """Seconds that batches take.

    Args:
        token_budget: most tokens in a batch.
    """

    def __init__(self, *, token_budget: int) -> None:
        self._token_budget = token_budget
        self._batches = 0
        self._mean_tokens = 0.0
        self._mean_seconds = 0.0
        self._variance = 0.0
        self._covariance = 0.0
        self._running: set[RunningBatch] = set()

    def started(self, batch: RunningBatch) -> None:
        """Note that a batch began."""
        self._running.add(batch)

    def ended(self, batch: RunningBatch, *, seconds: float) -> None:
        """Note how long it took."""
        self._running.remove(batch)
        seconds *= batch.share
        weight = _SMOOTHING if self._batches else 1.0
        more_tokens = batch.tokens - self._mean_tokens
        more_seconds = seconds - self._mean_seconds
        self._mean_tokens += weight * more_tokens
        self._mean_seconds += weight * more_seconds
        self._variance = (1 - weight) * (self._variance + weight * more_tokens**2)
        self._covariance = (1 - weight) * (self._covariance + weight * more_tokens * more_seconds)
        self._batches += 1

    def abandoned(self, batch: RunningBatch) -> None:
        """Note that it failed: what a failure takes says nothing of the pace."""
        self._running.remove(batch)

    def seconds_until(self, *, waiting_tokens: int, now: float) -> float:
        """Return how long it takes until so many waiting tokens, and the batches that run, are done."""
        running = sum(
            max(self._seconds(batch.tokens) - batch.share * (now - batch.since), 0.0)
            for batch in self._running
        )
        return running + self._seconds(waiting_tokens)

    def _seconds(self, tokens: int) -> float:
        if not self._batches:
            return 0.0
        # Neither part is negative, whatever noise says; of batches of one size, time goes by tokens.
        most = self._mean_seconds / self._mean_tokens
        slope = min(max(self._covariance / self._variance, 0.0), most) if self._variance else most
        fixed = self._mean_seconds - slope * self._mean_tokens
        return math.ceil(tokens / self._token_budget) * fixed + tokens * slope
