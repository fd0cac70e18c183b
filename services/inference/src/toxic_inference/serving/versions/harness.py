"""The harness of one version: its state machine, and the leases that keep it loaded.

Invariant: a state changes only through a method here, and a transition that isn't in `states.MOVES` raises
`IllegalTransitionError`. Used from the event loop's thread only.
"""

import asyncio
from dataclasses import dataclass

from toxic_core.errors import (
    ContractError,
    DigestMismatchError,
    NotApprovedError,
    RegistryUnavailableError,
)
from toxic_inference.events import LoadFailure
from toxic_inference.serving.batching.scheduler import BatchScheduler
from toxic_inference.serving.clock import Clock
from toxic_inference.serving.errors import IllegalTransitionError
from toxic_inference.serving.interfaces import ServableId
from toxic_inference.serving.scoring.cache import ScoreCache
from toxic_inference.serving.versions.states import MOVES, State
from toxic_model.errors import SignatureError, WarmupError
from toxic_model.loaded import LoadedModel

_LOAD_FAILURES: tuple[tuple[type[Exception], LoadFailure], ...] = (
    (DigestMismatchError, LoadFailure.DIGEST),
    (NotApprovedError, LoadFailure.NOT_APPROVED),
    (ContractError, LoadFailure.CONTRACT),
    (SignatureError, LoadFailure.SIGNATURE),
    (WarmupError, LoadFailure.WARMUP),
    (RegistryUnavailableError, LoadFailure.REGISTRY),
    (OSError, LoadFailure.DISK),
)
"""The most specific class first."""


@dataclass(frozen=True, slots=True)
class ActiveServable:
    """A version in service: its model, the scheduler that feeds it, and the cache of its scores."""

    id: ServableId
    model: LoadedModel
    scheduler: BatchScheduler
    cache: ScoreCache


class Harness:
    """The state of one version; created and called by the manager only."""

    def __init__(self, servable_id: ServableId) -> None:
        self.id = servable_id
        self.state = State.NEW
        self.error: Exception | None = None
        self.failures = 0
        self.retry_at: float | None = None
        self._active: ActiveServable | None = None
        self._leases = 0
        self._unused = asyncio.Event()
        self._unused.set()

    def start_loading(self) -> None:
        """Start to load, or to load again after a failure."""
        self._move(State.LOADING)
        self.retry_at = None

    def loaded(self, active: ActiveServable) -> None:
        """Become available."""
        self._move(State.AVAILABLE)
        self._active = active
        self.error = None
        self.failures = 0

    def failed(self, error: Exception, *, retry_at: float) -> None:
        """Record a failed load, and when to try again, on the manager's clock."""
        self._move(State.FAILED)
        self.error = error
        self.failures += 1
        self.retry_at = retry_at

    def start_draining(self) -> None:
        """Refuse further leases."""
        self._move(State.DRAINING)

    def retry_by(self, latest: float) -> None:
        """Bring the next load of a failed version forward, on the manager's clock."""
        if self.retry_at is not None:
            self.retry_at = min(self.retry_at, latest)

    @property
    def leases(self) -> int:
        """How many leases are not returned."""
        return self._leases

    async def drained(self, clock: Clock, *, at_most_seconds: float) -> ActiveServable:
        """Hand over what the caller must close: after the last lease's return, or when the time is over.

        Whoever still has a lease then can't score with it any more.
        """
        await clock.wait(self._unused, at_most_seconds=at_most_seconds)
        active = self.active
        self._move(State.UNLOADING)
        self._active = None
        return active

    def ended(self) -> None:
        """Record that everything was freed."""
        self._move(State.ENDED)

    @property
    def active(self) -> ActiveServable:
        """The version in service; raises `IllegalTransitionError` unless it is available or drains."""
        if self._active is None:
            raise IllegalTransitionError(f"Version {self.id.version} is {self.state}; it holds no servable.")
        return self._active

    def take_lease(self) -> ActiveServable:
        """Keep the version from being unloaded until `return_lease`."""
        if self.state is not State.AVAILABLE:
            raise IllegalTransitionError(f"Version {self.id.version} is {self.state}; it can't be leased.")
        self._leases += 1
        self._unused.clear()
        return self.active

    def return_lease(self) -> None:
        """Return one lease."""
        if self._leases == 0:
            raise IllegalTransitionError(f"Version {self.id.version} has no lease to return.")
        self._leases -= 1
        if self._leases == 0:
            self._unused.set()

    def _move(self, to: State) -> None:
        if to not in MOVES[self.state]:
            raise IllegalTransitionError(f"Version {self.id.version} can't go from {self.state} to {to}.")
        self.state = to


def failure_of(error: Exception) -> LoadFailure:
    """Return why a load failed, for metrics."""
    reasons = (reason for cls, reason in _LOAD_FAILURES if isinstance(error, cls))
    return next(reasons, LoadFailure.OTHER)
