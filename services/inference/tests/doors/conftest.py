"""The application over a fake core."""

from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from toxic_inference.budget import Budget
from toxic_inference.corrections.review import ReviewService
from toxic_inference.corrections.review_queue import ReviewQueue
from toxic_inference.corrections.review_store import ReviewStore
from toxic_inference.corrections.service import CorrectionService
from toxic_inference.corrections.store import DatabaseFeedbackStore
from toxic_inference.doors.listing import DOORS
from toxic_inference.http.application import create_api
from toxic_inference.http.backend import Backend, DoorThreads
from toxic_inference.http.errors import describe
from toxic_inference.jobs.files import JobFiles
from toxic_inference.jobs.queue import JobQueue
from toxic_inference.jobs.scoring import FileScoring
from toxic_inference.metrics import Metrics
from toxic_inference.monitoring.monitor import Monitor
from toxic_inference.policies.file import Policies
from toxic_inference.policies.governing import Governor
from toxic_inference.serving.interfaces import Scorer
from toxic_inference.threads import Threads
from toxic_model.identification import Identified
from toxic_testing.inference.core import LIMITS, Calendar, FakeCore, identify_language
from toxic_testing.inference.fakes import ManualClock


@pytest.fixture
def core() -> FakeCore:
    """The fake core."""
    return FakeCore()


@pytest.fixture
def metrics(clock: ManualClock) -> Metrics:
    """The metrics that the application writes."""
    return Metrics(Monitor(clock, min_texts=1))


@pytest.fixture
def feedback_store(tmp_path: Path) -> Iterator[DatabaseFeedbackStore]:
    """The store of corrections."""
    store = DatabaseFeedbackStore(f"sqlite:///{tmp_path}/feedback.db")
    yield store
    store.close()


@pytest.fixture
def calendar() -> Calendar:
    """The doors' time of day."""
    return Calendar()


@pytest.fixture(scope="session")
def threads() -> Iterator[DoorThreads]:
    """The doors' threads."""
    with ThreadPoolExecutor(2) as executor:
        yield DoorThreads(Threads(executor), Threads(executor))


@pytest.fixture
def policies() -> list[Policies]:
    """The service's policies: the last one's, if a test adds any."""
    return []


@pytest.fixture
def new_queue(
    core: FakeCore,
    metrics: Metrics,
    calendar: Calendar,
    clock: ManualClock,
    threads: DoorThreads,
    policies: list[Policies],
    tmp_path: Path,
) -> Callable[[], JobQueue]:
    """Return the function that makes a job queue, as the start of a process does."""

    def govern(name: str) -> tuple[Scorer, Callable[[str], Identified], str]:
        governor = Governor.named(
            name, policies[-1] if policies else None, threads=threads.files, emit=metrics.emit
        )
        policy = governor.policy
        return governor.scorer(core), policy.identifier(identify_language), policy.digest()

    def make() -> JobQueue:
        files = JobFiles(tmp_path / "jobs")
        return JobQueue(
            files=files,
            scorer=core,
            threads=threads.files,
            scoring=FileScoring(
                files=files,
                threads=threads.files,
                text_bytes=LIMITS.text_bytes,
                file_bytes=LIMITS.upload_bytes,
                identify_language=identify_language,
                clock=clock,
            ),
            govern=govern,
            now=calendar.now,
            clock=clock,
            emit=metrics.emit,
            describe=describe,
            keep=timedelta(hours=1),
            size_bytes=2_000_000,
        )

    return make


@pytest.fixture
def review_queue(
    feedback_store: DatabaseFeedbackStore,
    metrics: Metrics,
    calendar: Calendar,
    clock: ManualClock,
    threads: DoorThreads,
) -> ReviewQueue:
    """What takes texts in for the review."""
    return ReviewQueue(
        ReviewStore(feedback_store),
        threads=threads.files,
        clock=clock,
        now=calendar.now,
        emit=metrics.emit,
        texts=100,
        keep=timedelta(days=1),
    )


@pytest.fixture
def backend(
    core: FakeCore,
    metrics: Metrics,
    feedback_store: DatabaseFeedbackStore,
    review_queue: ReviewQueue,
    calendar: Calendar,
    new_queue: Callable[[], JobQueue],
    threads: DoorThreads,
    policies: list[Policies],
) -> Backend:
    """What the routes work with."""
    corrections = CorrectionService(
        store=feedback_store,
        threads=threads.files,
        now=calendar.now,
        emit=metrics.emit,
        room=Budget(2**30, OSError),
        kept=review_queue.offer,
    )
    return Backend(
        model_name="toxic-comments",
        default_alias="champion",
        scorer=core,
        statuses=core.statuses,
        ready=lambda: core.ready,
        source_error=lambda: core.source_error,
        identify_language=identify_language,
        corrections=corrections,
        review=ReviewService(review_queue, corrections),
        jobs=new_queue(),
        webhooks=None,
        render_metrics=metrics.render,
        totals=metrics.totals,
        traffic=metrics.monitor.traffic,
        limits=LIMITS,
        threads=threads,
        emit=metrics.emit,
        policies=lambda: policies[-1] if policies else None,
    )


@pytest.fixture
async def client(backend: Backend) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application over the fake core."""
    app = create_api(backend, DOORS)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client


@pytest.fixture
def metric(metrics: Metrics) -> Callable[..., float]:
    """Return the function that reads one sample; 0 if it was never written."""

    def read(name: str, **labels: str) -> float:
        return metrics.registry.get_sample_value(name, labels) or 0.0

    return read
