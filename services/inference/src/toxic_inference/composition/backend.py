"""What the doors are given: the scorer, limits, corrections, jobs, and the rules of Perspective."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from toxic_core.contract.scales import read_scales
from toxic_inference.adapters.watched_file import WatchedFile
from toxic_inference.budget import Budget
from toxic_inference.composition.executors import Executors
from toxic_inference.corrections.record import FeedbackFullError
from toxic_inference.corrections.review import ReviewService
from toxic_inference.corrections.review_queue import ReviewQueue
from toxic_inference.corrections.review_store import ReviewStore
from toxic_inference.corrections.service import CorrectionService
from toxic_inference.corrections.store import DatabaseFeedbackStore
from toxic_inference.events import Emit
from toxic_inference.http.backend import Backend, DoorThreads, Limits, PerspectiveRules
from toxic_inference.jobs.owner import JobsOwner
from toxic_inference.jobs.queue import JobQueue
from toxic_inference.serving.clock import SystemClock
from toxic_inference.serving.interfaces import Scorer
from toxic_inference.serving.versions.manager import Manager
from toxic_inference.serving.versions.poller import Poller
from toxic_inference.settings import Settings
from toxic_inference.threads import Threads
from toxic_inference.watching import Watching
from toxic_inference.webhooks import WebhookReceiver
from toxic_model.identification import identify

_FULL_RETRY_SECONDS = 600.0


def make_backend(
    settings: Settings,
    *,
    scorer: Scorer,
    manager: Manager,
    poller: Poller,
    review: ReviewQueue,
    jobs: JobQueue | JobsOwner,
    watching: Watching,
    threads: Executors,
) -> Backend:
    """Return what the doors are given, without policies.

    Raises:
        InvalidDataError: the file of scales can't be used.
    """
    webhooks = WebhookReceiver(
        model_name=settings.model_name,
        aliases=settings.aliases,
        secret=settings.event_secret.get_secret_value(),
        poke=poller.poke,
        now=time.time,
        emit=watching.emit,
    )
    corrections = CorrectionService(
        store=review.store.corrections,
        threads=Threads(threads.feedback),
        now=review.now,
        emit=watching.emit,
        room=Budget(settings.feedback_size_bytes, _feedback_full),
        kept=review.offer,
    )
    return Backend(
        model_name=settings.model_name,
        default_alias=settings.model_alias,
        scorer=scorer,
        statuses=manager.statuses,
        ready=lambda: manager.ready,
        source_error=lambda: poller.error,
        identify_language=partial(identify, default=settings.default_language),
        corrections=corrections,
        review=ReviewService(review, corrections),
        jobs=jobs,
        webhooks=webhooks if settings.event_secret.get_secret_value() else None,
        render_metrics=watching.render,
        totals=watching.totals,
        traffic=watching.traffic,
        limits=Limits(
            text_bytes=settings.max_text_bytes,
            texts=settings.max_texts,
            body_bytes=settings.max_body_bytes,
            upload_bytes=settings.max_upload_bytes,
            spools_bytes=settings.spools_size_bytes,
        ),
        threads=DoorThreads(Threads(threads.read), Threads(threads.files)),
        emit=watching.emit,
        public_url=settings.public_url,
        perspective=_make_perspective(settings),
    )


def make_review(
    settings: Settings, feedback: DatabaseFeedbackStore, *, emit: Emit, threads: Executors
) -> ReviewQueue:
    """Return what takes texts in for the review."""
    return ReviewQueue(
        ReviewStore(feedback),
        threads=Threads(threads.feedback),
        clock=SystemClock(),
        now=lambda: datetime.now(UTC),
        emit=emit,
        texts=settings.review_texts,
        keep=timedelta(days=settings.review_keep_days),
    )


def _make_perspective(settings: Settings) -> PerspectiveRules:
    rules = PerspectiveRules(
        drop_attributes=settings.unsupported_attributes == "drop",
        score_any_language=settings.unsupported_language == "score",
    )
    if settings.perspective_scale == "none":
        return replace(rules, scale_origin="none", scales=lambda _: None)
    if settings.perspective_scale == "default":
        return rules
    file = WatchedFile(Path(settings.perspective_scale), read_scales, name="scale")
    return replace(rules, scale_origin="file", scales=lambda _: file.current())


def _feedback_full() -> FeedbackFullError:
    return FeedbackFullError(
        "There is no room for more corrections; delete some, or raise INFERENCE_FEEDBACK_SIZE_BYTES.",
        retry_after_seconds=_FULL_RETRY_SECONDS,
    )
