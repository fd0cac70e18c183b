"""What is known of a job.

Invariant: a job moves from queued to running to done or failed; only a stop of the service, or a version that
is unloaded, moves it from running back to queued.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from toxic_core.errors import OverloadedError, ToxicError
from toxic_core.tables import NO_OPTIONS, TableOptions


class JobState(StrEnum):
    """The state of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Job:
    """One file to score.

    Attributes:
        id: unguessable, since it gives access to the result if the service has no keys.
        state: its state.
        created_at: when the upload was complete.
        expires_at: when the job and its files are removed, if it has ended.
        rows_total: rows of the file, counted before scoring; exact unless a quote is malformed.
        rows_done: rows in the result so far.
        scored: rows with scores.
        rejected: rows with the reason why they have none.
        result_bytes: length of the result with the rows that are done.
        attempts: how often the service crashed since the last progress, this attempt included.
        model_version: the version that scores it, once it runs.
        error: why it failed: a code and a message.
        table: what the caller declared of the file.
        caller: who uploaded it: it counts for that share of the disk, and with keys, others have no access.
        policy: the name of the policy that decides, if any.
        policy_digest: of its rules, once the job runs.
    """

    id: str
    state: JobState
    created_at: datetime
    expires_at: datetime
    rows_total: int
    rows_done: int = 0
    scored: int = 0
    rejected: int = 0
    result_bytes: int = 0
    attempts: int = 0
    model_version: str | None = None
    error: tuple[str, str] | None = None
    table: TableOptions = NO_OPTIONS
    caller: str = ""
    policy: str | None = None
    policy_digest: str = ""

    @property
    def ended(self) -> bool:
        """Whether its state is final."""
        return self.state in {JobState.DONE, JobState.FAILED}


class UnknownJobError(ToxicError):
    """There is no job with that id, or no longer."""


class JobNotDoneError(ToxicError):
    """The job has no result yet, or failed."""


class JobsFullError(OverloadedError):
    """There is no room for another file."""


class DiskFullError(ToxicError):
    """The service's disk has no space for a file; no fault of the caller."""


class JobsUnavailableError(ToxicError):
    """The service that owns the jobs doesn't answer now."""
