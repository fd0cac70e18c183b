"""The states of a version, the moves between them, and how they are shown.

NEW → LOADING → AVAILABLE → DRAINING → UNLOADING → ENDED
         ↓ ↑
        FAILED
"""

from dataclasses import dataclass
from enum import StrEnum

from toxic_model.loaded import LoadedModel


class State(StrEnum):
    """The state of a version."""

    NEW = "new"
    LOADING = "loading"
    AVAILABLE = "available"
    FAILED = "failed"
    DRAINING = "draining"
    UNLOADING = "unloading"
    ENDED = "ended"


MOVES: dict[State, frozenset[State]] = {
    State.NEW: frozenset({State.LOADING}),
    State.LOADING: frozenset({State.AVAILABLE, State.FAILED}),
    State.FAILED: frozenset({State.LOADING}),
    State.AVAILABLE: frozenset({State.DRAINING}),
    State.DRAINING: frozenset({State.UNLOADING}),
    State.UNLOADING: frozenset({State.ENDED}),
    State.ENDED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """One version as the status route shows it; `model` is None unless it is available."""

    version: str
    state: State
    error: Exception | None
    aliases: tuple[str, ...]
    model: LoadedModel | None = None
