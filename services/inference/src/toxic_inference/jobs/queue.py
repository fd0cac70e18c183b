"""The job queue: scores uploaded files one after another in the bulk lane.

Interactive requests go first.

The records are on the event loop; files are touched on threads.

Invariant: one version and one policy score a whole job, and progress only grows while they do. A job that was
running when the service stopped goes on after the rows that are done, or from the start if another version is
served now or its policy was edited. It fails if the service crashes three times at the same rows.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import structlog

from toxic_core.errors import NoVersionReadyError, ToxicError
from toxic_core.tables import NO_OPTIONS, TableOptions
from toxic_inference.budget import Budget, Held
from toxic_inference.events import Emit, JobEnded, JobsChanged
from toxic_inference.jobs.files import JobFiles, PartialUpload, count_rows, disk_errors
from toxic_inference.jobs.record import (
    Job,
    JobNotDoneError,
    JobsFullError,
    JobState,
    UnknownJobError,
)
from toxic_inference.jobs.scoring import FileScoring
from toxic_inference.serving.clock import Clock
from toxic_inference.serving.interfaces import Scorer, Target
from toxic_inference.threads import Threads
from toxic_model.identification import Identified

_log = structlog.get_logger(__name__)

_MAX_ATTEMPTS = 3
_MAX_WAITING = 100
_SWEEP_SECONDS = 60.0
_NO_VERSION_SECONDS = 1.0
_FULL_RETRY_SECONDS = 600.0
_LOGGED_CHARACTERS = 8
"""Without keys, a whole id gives access to a job."""


@dataclass(eq=False, kw_only=True)
class JobQueue:
    """Takes uploads, scores them, returns results.

    Create it before the first request: it reads the jobs of the last process, which blocks.

    Attributes:
        files: the jobs' files.
        scorer: scores texts.
        threads: for jobs only.
        scoring: scores one file.
        govern: returns the scorer, the identifier of languages and the digest of a policy, by its name;
            raises `ToxicError` if there is none.
        now: the time, in UTC.
        clock: for waits.
        emit: takes `JobEnded` and `JobsChanged`.
        describe: returns an error's code and message.
        keep: how long a job is kept after its end.
        size_bytes: most that all files take; a caller's take half of it at most.
    """

    files: JobFiles
    scorer: Scorer
    threads: Threads
    scoring: FileScoring
    govern: Callable[[str], tuple[Scorer, Callable[[str], Identified], str]]
    now: Callable[[], datetime]
    clock: Clock
    emit: Emit
    describe: Callable[[Exception], tuple[str, str]]
    keep: timedelta
    size_bytes: int

    def __post_init__(self) -> None:
        left = self.files.read_all(now=self.now())
        self._jobs = {job.id: job if job.ended else replace(job, state=JobState.QUEUED) for job in left}
        self._disk = Budget(self.size_bytes, self._full)
        self._held = {job.id: Held(self._disk, job.caller) for job in left}
        for job in left:
            self._held[job.id].settle(self.files.size(job))
        self._turns: dict[str, int] = {}
        self._changed = asyncio.Event()
        self._running: tuple[str, asyncio.Task[None]] | None = None

    async def run(self) -> None:
        """Score files until cancelled."""
        while True:
            self._changed.clear()
            self._report()
            await self._sweep()
            # Callers take turns; each one's jobs are in order.
            queued = [job for job in self._jobs.values() if not job.ended]
            waiting = min(queued, key=lambda job: self._turns.get(job.caller, 0), default=None)
            if waiting is None:
                self._turns.clear()
                await self.clock.wait(self._changed, at_most_seconds=_SWEEP_SECONDS)
                continue
            self._turns[waiting.caller] = max(self._turns.values(), default=0) + 1
            await self._score(waiting)

    async def open_upload(self, caller: str = "") -> PartialUpload:
        """Return an upload to write to, which raises `JobsFullError` when there is no more room for it.

        Raises:
            JobsFullError: too many jobs wait, or their files are too large.
        """
        of_caller = sum(not job.ended and job.caller == caller for job in self._jobs.values())
        if self._waiting() >= _MAX_WAITING or of_caller >= _MAX_WAITING // 2:
            raise self._full()
        held = Held(self._disk, caller)
        held.grow(1)
        opened: list[PartialUpload] = []
        try:
            await self.threads.run_to_end(lambda: opened.append(self.files.open_upload(held)))
        except BaseException:
            for upload in opened:  # cancelled after the call had begun
                await self.threads.run(upload.drop)
            held.release()
            raise
        return opened[0]

    def _full(self) -> JobsFullError:
        return JobsFullError(
            "There is no room for another file now; delete jobs that you no longer need, or wait.",
            retry_after_seconds=_FULL_RETRY_SECONDS,
        )

    async def submit(
        self,
        upload: PartialUpload,
        *,
        options: TableOptions = NO_OPTIONS,
        caller: str = "",
        policy: str | None = None,
    ) -> Job:
        """Turn a complete upload into a job.

        Args:
            upload: the file.
            options: what the caller declares of the file.
            caller: who sent it.
            policy: the name of the policy that decides, if any.

        Raises:
            InvalidCsvError: the file is not a table, or its text column can't be found.
        """

        def check() -> Job:
            file = upload.close()
            with file.open("rb") as stream:
                self.scoring.open_table(stream, options)
            now = self.now()
            return Job(
                id=upload.path.name[-32:],
                state=JobState.QUEUED,
                created_at=now,
                expires_at=now + self.keep,
                rows_total=count_rows(file, options),
                table=options,
                caller=caller,
                policy=policy,
            )

        job = await self.threads.run(check)
        await self.threads.run_to_end(self.files.keep, upload, job)
        self._jobs[job.id], self._held[job.id] = job, upload.held
        self._changed.set()
        return job

    def get(self, job_id: str, *, key: str | None = None) -> Job:
        """Return a job.

        Args:
            job_id: its id.
            key: name of the caller's API key, which must be the job's; None if the service has no keys.

        Raises:
            UnknownJobError: there is no job with that id, or no longer, or not of this key.
        """
        job = self._jobs.get(job_id)
        if job is None or self._expired(job) or key not in {None, job.caller}:
            raise UnknownJobError(f"There is no job {job_id!r}; results are kept for {self.keep}.")
        return job

    def result(self, job_id: str, *, key: str | None = None) -> Path:
        """Return the path of a job's result.

        Raises:
            UnknownJobError: as `get`.
            JobNotDoneError: it has no result.
        """
        job = self.get(job_id, key=key)
        if job.state is not JobState.DONE:
            state = f"failed: {job.error[1].removesuffix('.')}" if job.error else f"is {job.state}"
            raise JobNotDoneError(f"The job {state}.")
        return self.files.result(job)

    async def delete(self, job_id: str, *, key: str | None = None) -> None:
        """Stop a job, wait for a write in progress, and remove the job with its files; raises as `get`."""
        job = self.get(job_id, key=key)
        del self._jobs[job_id]
        try:
            if self._running is not None and self._running[0] == job_id:
                self._running[1].cancel()
                await asyncio.wait({self._running[1]})
        finally:  # the record is gone: nobody else removes the files
            await self._remove(job)
        self.emit(JobEnded("deleted"))
        self._report()

    async def _sweep(self) -> None:
        """Remove the expired jobs."""
        for job in [job for job in self._jobs.values() if self._expired(job)]:
            if self._jobs.pop(job.id, None):  # else a client deleted it while another one was removed
                await self._remove(job)

    def _expired(self, job: Job) -> bool:
        return job.ended and job.expires_at <= self.now()

    async def _remove(self, job: Job) -> None:
        """Remove a job's files; the caller has taken it out of the records, which only one caller can."""
        await self.threads.run(self.files.remove, job)
        self._held.pop(job.id).release()

    def _waiting(self) -> int:
        return sum(not job.ended for job in self._jobs.values())

    def _report(self) -> None:
        self.emit(JobsChanged(self._waiting()))

    async def _score(self, job: Job) -> None:
        """Attempt a job in a task of its own, which a deletion cancels; meanwhile, remove expired jobs."""
        task, ended = asyncio.create_task(self._attempt(job)), asyncio.Event()
        task.add_done_callback(lambda _: ended.set())
        self._running = job.id, task
        try:
            while not task.done():
                await self.clock.wait(ended, at_most_seconds=_SWEEP_SECONDS)
                await self._sweep()
        finally:
            task.cancel()
            await asyncio.wait({task})
            self._running = None
        try:
            if not task.cancelled():
                task.result()
        except Exception as error:  # noqa: BLE001  a task's boundary: the next job is scored all the same
            _log.exception("job.broke", job=job.id[:_LOGGED_CHARACTERS])
            job = replace(self._jobs.get(job.id, job), state=JobState.FAILED, error=self._reason(error))
            self._ended(replace(job, expires_at=self.now() + self.keep))

    async def _attempt(self, job: Job) -> None:
        if job.attempts >= _MAX_ATTEMPTS:
            await self._end(job, error=("gave_up", "The service stopped each time it scored this file."))
            return
        try:
            scorer, scoring, rules = self.scorer, self.scoring, ""
            if job.policy:  # looked up now: it may have been edited since the upload
                scorer, identify, rules = self.govern(job.policy)
                scoring = replace(scoring, identify_language=identify)
            with scorer.session(Target()) as session:
                same = (job.model_version, job.policy_digest) == (session.version, rules)
                if not same or not await self.threads.run(self.files.has_rows, job):
                    job = replace(job, rows_done=0, scored=0, rejected=0, result_bytes=0)
                job = replace(
                    job,
                    state=JobState.RUNNING,
                    attempts=job.attempts + 1,
                    model_version=session.version,
                    policy_digest=rules,
                )
                # Saved before scoring starts, so that every crash counts.
                await self.threads.run_to_end(self.files.save, job)
                self._update(job)
                with disk_errors():
                    async with aclosing(scoring.score(job, session, self._held[job.id])) as steps:
                        async for job in steps:
                            self._update(job)
        except NoVersionReadyError:
            await self._put_back(job)
            await self.clock.wait(asyncio.Event(), at_most_seconds=_NO_VERSION_SECONDS)
        except asyncio.CancelledError:
            await self._put_back(job)
            raise
        except Exception as error:  # noqa: BLE001  a task's boundary: the next job is scored all the same
            if not isinstance(error, ToxicError | OSError):
                _log.exception("job.broke", job=job.id[:_LOGGED_CHARACTERS])
            await self._end(job, error=self._reason(error))
        else:
            await self._end(job, error=None)

    async def _put_back(self, job: Job) -> None:
        """Queue a job again, with its rows; this attempt doesn't count."""
        if job.state is JobState.RUNNING and job.id in self._jobs:  # else it was deleted
            job = replace(job, state=JobState.QUEUED, attempts=job.attempts - 1)
            self._update(job)
            try:
                await self.threads.run_to_end(self.files.save, job)
            except OSError as error:
                # The saved record still counts the attempt, which matters after a restart only.
                _log.warning("job.not_saved", job=job.id[:_LOGGED_CHARACTERS], reason=error.strerror)

    def _update(self, job: Job) -> None:
        if job.id in self._jobs:  # else it was deleted
            self._jobs[job.id] = job

    async def _end(self, job: Job, *, error: tuple[str, str] | None) -> None:
        state = JobState.FAILED if error else JobState.DONE
        job = replace(
            job,
            state=state,
            error=error,
            rows_total=job.rows_total if error else job.rows_done,
            expires_at=self.now() + self.keep,
        )
        try:
            await self.threads.run_to_end(partial(self.files.finish, job, complete=error is None))
        except OSError as failure:
            job = replace(job, state=JobState.FAILED, error=error or self._reason(failure))
        if job.id in self._held:
            try:
                self._held[job.id].settle(await self.threads.run(self.files.size, job))
            except OSError as failure:  # the job keeps the room that it has
                _log.warning("job.size_unknown", job=job.id[:_LOGGED_CHARACTERS], reason=failure.strerror)
        self._ended(job)

    def _ended(self, job: Job) -> None:
        self._update(job)
        self.emit(JobEnded(job.state.value))
        log = _log.warning if job.error else _log.info
        log(
            "job.ended",
            job=job.id[:_LOGGED_CHARACTERS],
            state=job.state.value,
            rows=job.rows_done,
            error=job.error and job.error[0],
        )

    def _reason(self, error: Exception) -> tuple[str, str]:
        code, message = self.describe(error)
        if isinstance(error, OSError):
            message = f"The service's disk failed: {error.strerror}."
        return code, message
