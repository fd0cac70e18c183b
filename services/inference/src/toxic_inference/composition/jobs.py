"""Background jobs: their folder, their queue, and how each file is scored."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

from toxic_inference.adapters.folders import check_writable, own
from toxic_inference.composition.policies import ReadPolicies
from toxic_inference.events import Emit
from toxic_inference.http.errors import describe
from toxic_inference.jobs.files import JobFiles
from toxic_inference.jobs.owner import JobsOwner
from toxic_inference.jobs.queue import JobQueue
from toxic_inference.jobs.scoring import FileScoring
from toxic_inference.policies.governing import Governor
from toxic_inference.serving.clock import SystemClock
from toxic_inference.serving.interfaces import Scorer
from toxic_inference.settings import Settings
from toxic_inference.threads import Threads
from toxic_model.identification import Identified, identify


def make_jobs(
    settings: Settings,
    scorer: Scorer,
    policies: ReadPolicies,
    *,
    emit: Emit,
    threads: Threads,
    closing: list[Callable[[], None]],
) -> JobQueue | JobsOwner:
    """Return the queue of background jobs, or the way to the replica that owns them.

    Raises:
        ConfigurationError: the folder can't be used, or another process owns it.
    """
    if settings.jobs_url:
        return JobsOwner(settings.jobs_url)
    folder = settings.state_dir / "jobs"
    check_writable(folder, setting="INFERENCE_STATE_DIR")
    closing.append(own(folder, setting="INFERENCE_STATE_DIR").close)
    files, clock = JobFiles(folder), SystemClock()
    identify_in = partial(identify, default=settings.default_language)

    def govern(name: str) -> tuple[Scorer, Callable[[str], Identified], str]:
        governor = Governor.named(name, policies(), threads=threads, emit=emit)
        policy = governor.policy
        return governor.scorer(scorer), policy.identifier(identify_in), policy.digest()

    return JobQueue(
        files=files,
        scorer=scorer,
        threads=threads,
        scoring=FileScoring(
            files=files,
            threads=threads,
            text_bytes=settings.max_text_bytes,
            file_bytes=settings.max_upload_bytes,
            identify_language=identify_in,
            clock=clock,
        ),
        govern=govern,
        now=lambda: datetime.now(UTC),
        clock=clock,
        emit=emit,
        describe=describe,
        keep=timedelta(hours=settings.job_keep_hours),
        size_bytes=settings.jobs_size_bytes,
    )
