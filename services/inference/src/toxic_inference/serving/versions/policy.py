"""The version policy: one pure function that decides what to do next, and the back-off after a failed load.

Two policies, after TensorFlow Serving's, with aliases in place of "the largest number". The
availability-preserving one loads the next version while the old one serves, and needs memory for both. The
resource-preserving one frees the old version first, and no version answers until the next one is loaded.

Invariant: under the availability-preserving policy a version that an alias still routes to is never unloaded,
and aliases move only to available versions, so no action ever removes the last version that answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from toxic_inference.serving.interfaces import ServableId
from toxic_inference.serving.versions.states import State


class VersionPolicy(StrEnum):
    """What comes first: loading the new version, or freeing the old one."""

    AVAILABILITY_PRESERVING = "availability_preserving"
    RESOURCE_PRESERVING = "resource_preserving"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One version, as input of the policy.

    Attributes:
        id: which version.
        state: its state.
        aspired: whether the source lists it.
        routed: whether an alias routes to it.
        retry_due: whether the back-off after its last failure has passed.
    """

    id: ServableId
    state: State
    aspired: bool
    routed: bool
    retry_due: bool


@dataclass(frozen=True, slots=True)
class Load:
    """Start to load the version."""

    id: ServableId


@dataclass(frozen=True, slots=True)
class Unload:
    """Drain the version, then free it."""

    id: ServableId


@dataclass(frozen=True, slots=True)
class Forget:
    """Drop the record of a version that holds no memory."""

    id: ServableId


Action = Load | Unload | Forget

_BEING_FREED = frozenset({State.DRAINING, State.UNLOADING})
_HOLDS_NOTHING = frozenset({State.NEW, State.FAILED, State.ENDED})


def next_action(snapshots: Sequence[Snapshot], *, policy: VersionPolicy) -> Action | None:
    """Return the one next action, or None if there is nothing to do until something changes.

    Memory comes first: versions that nothing needs are freed before anything is loaded. One load runs at a
    time: two would compete for the same cores and memory, and delay each other.

    Args:
        snapshots: every known version, most important first.
        policy: whether the old version is freed before the next one is loaded.
    """
    for snapshot in snapshots:
        if snapshot.state is State.ENDED or (not snapshot.aspired and snapshot.state in _HOLDS_NOTHING):
            return Forget(snapshot.id)
    wanted = [snapshot for snapshot in snapshots if snapshot.aspired]
    # A version that never failed comes first: a broken champion must not delay a new one.
    new = [snapshot.id for snapshot in wanted if snapshot.state is State.NEW]
    due = [snapshot.id for snapshot in wanted if snapshot.state is State.FAILED and snapshot.retry_due]
    loading = any(snapshot.state is State.LOADING for snapshot in snapshots)
    load = Load((new + due)[0]) if (new or due) and not loading else None
    frees_first = policy is VersionPolicy.RESOURCE_PRESERVING
    for snapshot in snapshots:
        # An alias that vanished from the registry is no reason to stop serving: only a load is.
        unneeded = not snapshot.aspired and (not snapshot.routed or (frees_first and load is not None))
        if snapshot.state is State.AVAILABLE and unneeded:
            return Unload(snapshot.id)
    if frees_first and any(snapshot.state in _BEING_FREED for snapshot in snapshots):
        return None
    return load


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off after failed loads.

    Attributes:
        initial_seconds: the first wait.
        max_seconds: the longest wait.
        unserved_seconds: the longest wait while no version answers.
    """

    initial_seconds: float = 2.0
    max_seconds: float = 300.0
    unserved_seconds: float = 5.0

    def delay(self, failures: int, *, serving: bool) -> float:
        """Return the seconds to wait after so many failures in a row."""
        longest = self.max_seconds if serving else min(self.max_seconds, self.unserved_seconds)
        return min(self.initial_seconds * 2.0 ** min(failures - 1, 30), longest)
