"""Metrics that are off: for measuring what they cost, and for whoever wants none.

Invariant: it takes whatever `Metrics` takes and keeps nothing; the process's own metrics stay.
"""

from prometheus_client import REGISTRY, generate_latest


class SilentMetrics:
    """Implements every observer protocol by doing nothing."""

    def _nothing(self, *_: object, **__: object) -> None:
        """Let it pass."""

    request_started = request_ended = request_refused = row_rejected = event_received = _nothing
    feedback_kept = job_ended = jobs_changed = quality_read = _nothing
    batch_budget = queue_changed = batch_ran = refused = departed = expired = _nothing
    read = looked_up = scored = shadow_compared = shadow_dropped = _nothing
    state_changed = available = load_succeeded = load_failed = routed = polled = _nothing

    def batches(self, _version: str) -> "SilentMetrics":
        """Return what a version's batch scheduler reports to."""
        return self

    def render(self) -> bytes:
        """Return the process's own metrics."""
        return generate_latest(REGISTRY)
