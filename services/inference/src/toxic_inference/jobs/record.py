"""What is known of a job.

Invariant: a job moves from queued to running to done or failed, and from running back to queued only by a
restart of the service.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from toxic_core.errors import OverloadedError, ToxicError


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Job:
    """One file to score.

    Attributes:
        id: unguessable, since knowing it is what gives access to the result.
        state: where it stands.
        created_at: when the file had come in.
        expires_at: when the job and its files are removed.
        rows_total: rows of the file, counted before scoring; exact where no quote is broken.
        rows_done: rows in the result so far.
        scored: of those, how many have scores.
        rejected: how many have the reason why not.
        attempts: how often scoring was begun.
        model_version: which scores it, once it runs.
        error: why it failed: a code and a sentence.
    """

    id: str
    state: JobState
    created_at: datetime
    expires_at: datetime
    rows_total: int
    rows_done: int = 0
    scored: int = 0
    rejected: int = 0
    attempts: int = 0
    model_version: str | None = None
    error: tuple[str, str] | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in {JobState.DONE, JobState.FAILED}


class UnknownJobError(ToxicError):
    """No job of that id, or none any more."""


class JobNotDoneError(ToxicError):
    """A result that isn't there yet, or never will be."""


class JobsFullError(OverloadedError):
    """No room for another file."""
