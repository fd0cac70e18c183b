"""What to do next with the versions at hand: one pure function; and how long to wait after a failure.

Two policies, after TensorFlow Serving's, with routes in place of "the largest number". The one that preserves
availability loads the next version beside the one that serves: it takes the memory of both. The one that
preserves resources frees the old one first: it takes the memory of one, and nothing answers until the next is
loaded.

Invariant: under the availability-preserving policy a version that an alias still routes to is never unloaded,
and routes move only to versions that are available, so at no moment does an action take the last answering
version away.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from toxic_inference.serving.interfaces import ServableId
from toxic_inference.serving.versions.states import State


class VersionPolicy(StrEnum):
    """What goes first where there isn't room for two versions."""

    AVAILABILITY_PRESERVING = "availability_preserving"
    RESOURCE_PRESERVING = "resource_preserving"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One version as the policy sees it.

    Attributes:
        id: which version.
        state: where it stands.
        aspired: whether the source wants it.
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
    """Drop the record of a version that holds nothing."""

    id: ServableId


Action = Load | Unload | Forget

_BEING_FREED = frozenset({State.DRAINING, State.UNLOADING})
_HOLDS_NOTHING = frozenset({State.NEW, State.FAILED, State.ENDED})


def next_action(snapshots: Sequence[Snapshot], *, policy: VersionPolicy) -> Action | None:
    """Return the one next action, or None when there is nothing to do until something changes.

    Args:
        snapshots: every known version, most important first.
        policy: whether a version that serves makes way for the next.

    Memory first: what nothing needs goes before anything is loaded. One load at a time: two would compete
    for the same cores and memory, and delay both.
    """
    for snapshot in snapshots:
        if snapshot.state is State.ENDED or (not snapshot.aspired and snapshot.state in _HOLDS_NOTHING):
            return Forget(snapshot.id)
    load = _next_load(snapshots)
    frees_first = policy is VersionPolicy.RESOURCE_PRESERVING
    # Only for something to load: an alias that vanished from the registry is no reason to go dark.
    makes_way = frees_first and load is not None
    for snapshot in snapshots:
        unneeded = not snapshot.aspired and (makes_way or not snapshot.routed)
        if snapshot.state is State.AVAILABLE and unneeded:
            return Unload(snapshot.id)
    if frees_first and any(snapshot.state in _BEING_FREED for snapshot in snapshots):
        return None
    return load


def _next_load(snapshots: Sequence[Snapshot]) -> Load | None:
    if any(snapshot.state is State.LOADING for snapshot in snapshots):
        return None
    wanted = [snapshot for snapshot in snapshots if snapshot.aspired]
    # A version that never failed goes before one that did: a broken champion mustn't hold up a new one.
    for snapshot in wanted:
        if snapshot.state is State.NEW:
            return Load(snapshot.id)
    for snapshot in wanted:
        if snapshot.state is State.FAILED and snapshot.retry_due:
            return Load(snapshot.id)
    return None


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waiting time after a failed load: doubled each time, up to a limit."""

    initial_seconds: float = 2.0
    max_seconds: float = 300.0

    def delay(self, failures: int) -> float:
        """Return the seconds to wait after the given number of failures in a row."""
        return min(self.initial_seconds * 2.0 ** min(failures - 1, 30), self.max_seconds)
