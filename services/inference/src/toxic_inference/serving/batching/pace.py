"""The pace estimate: how fast a queue drains, learnt from the batches that ran.

Seconds are those of the whole machine: a batch with half of it for two seconds costs one. A batch costs a
fixed part, and a part per token; both are estimated from the batches' different sizes (least squares, with
exponentially decaying weights). Seconds per token alone would count a hundred waiting texts as a hundred
batches of one, and refuse them on a machine that computes them in one.

Invariant: an estimate comes from measured batches alone. Before the first one everything is expected to take
no time, so that no request is refused on a guess.
"""

import math
from dataclasses import dataclass

_SMOOTHING = 0.15
"""Weight of the newest batch: a change of load shows within about seven batches."""


@dataclass(frozen=True, slots=True, eq=False)
class RunningBatch:
    """A batch that runs.

    Attributes:
        tokens: tokens without padding.
        share: of the machine's processors.
        since: when it began, on the scheduler's clock.
    """

    tokens: int
    share: float
    since: float


class Pace:
    """Estimates the seconds that batches take.

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
        self._fixed_seconds = self._token_seconds = 0.0
        self._running: set[RunningBatch] = set()

    def started(self, batch: RunningBatch) -> None:
        """Count a batch as running."""
        self._running.add(batch)

    def ended(self, batch: RunningBatch, *, seconds: float) -> None:
        """Learn from a batch that took so long."""
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
        # Noise must not make either part negative. If all batches have one size, all time counts per token.
        most = self._mean_seconds / self._mean_tokens
        slope = min(max(self._covariance / self._variance, 0.0), most) if self._variance else most
        self._fixed_seconds, self._token_seconds = self._mean_seconds - slope * self._mean_tokens, slope

    def abandoned(self, batch: RunningBatch) -> None:
        """Stop counting a batch that failed; its time isn't typical."""
        self._running.remove(batch)

    def seconds_until(self, *, waiting_tokens: int, now: float) -> float:
        """Return the seconds until the running batches and so many waiting tokens are computed."""
        running = sum(
            max(self._seconds(batch.tokens) - batch.share * (now - batch.since), 0.0)
            for batch in self._running
        )
        return running + self._seconds(waiting_tokens)

    def _seconds(self, tokens: int) -> float:
        return math.ceil(tokens / self._token_budget) * self._fixed_seconds + tokens * self._token_seconds
