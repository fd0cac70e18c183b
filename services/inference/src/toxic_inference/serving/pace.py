"""How fast a queue drains, learnt from the batches that ran.

Invariant: an estimate follows from measured batches alone; before the first one everything is expected to
take no time, so that nobody is refused on a guess.
"""

_SMOOTHING = 0.2
"""Weight of the newest batch: a change of load shows within about five batches."""


class Pace:
    """Seconds a token, smoothed exponentially."""

    def __init__(self) -> None:
        self._seconds_per_token: float | None = None
        self._running_tokens = 0
        self._running_since = 0.0

    def started(self, *, tokens: int, now: float) -> None:
        """Note that a batch of so many tokens began."""
        self._running_tokens = tokens
        self._running_since = now

    def ended(self, *, now: float) -> None:
        """Note that it came back."""
        recent = (now - self._running_since) / max(self._running_tokens, 1)
        if self._seconds_per_token is None:
            self._seconds_per_token = recent
        else:
            self._seconds_per_token += _SMOOTHING * (recent - self._seconds_per_token)
        self._running_tokens = 0

    def abandoned(self) -> None:
        """Note that it failed: what a failure takes says nothing of the pace."""
        self._running_tokens = 0

    def seconds_until(self, *, waiting_tokens: int, now: float) -> float:
        """Return how long it takes until so many waiting tokens, and the batch that runs, are done."""
        rate = self._seconds_per_token or 0.0
        running = 0.0
        if self._running_tokens:
            running = max(self._running_tokens * rate - (now - self._running_since), 0.0)
        return running + waiting_tokens * rate
