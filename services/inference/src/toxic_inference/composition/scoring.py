"""Who scores the texts of requests: the service, beside a shadow, or a canary."""

import random
from functools import partial

from toxic_inference.composition.executors import Executors
from toxic_inference.corrections.review_queue import ReviewQueue
from toxic_inference.corrections.sampling import ReviewSampler, candidate
from toxic_inference.events import Emit, ReviewReason
from toxic_inference.serving.clock import SystemClock
from toxic_inference.serving.interfaces import Scorer
from toxic_inference.serving.scoring.canary import CanaryScorer
from toxic_inference.serving.scoring.service import ScoringLimits, ScoringService
from toxic_inference.serving.scoring.shadow import ShadowingScorer, ShadowSample
from toxic_inference.serving.versions.manager import Manager
from toxic_inference.settings import Settings
from toxic_inference.threads import Threads


def make_shadowing(
    settings: Settings, scorer: ScoringService, manager: Manager, *, emit: Emit, review: ReviewQueue
) -> ShadowingScorer | None:
    """Return what scores a sample by the challenger too; None if it is turned off."""
    if not settings.shadow_fraction:
        return None
    return ShadowingScorer(
        scorer,
        default_alias=settings.model_alias,
        shadow_alias=settings.shadow_alias,
        fraction=settings.shadow_fraction,
        idle=lambda: manager.idle,
        clock=SystemClock(),
        emit=emit,
        draw=random.random,
        disagreed=partial(_review_disagreement, review),
    )


def _review_disagreement(review: ReviewQueue, sample: ShadowSample) -> None:
    if sample.text.whole:
        found = candidate(
            sample.text,
            sample.score,
            version=sample.version,
            contract=sample.contract,
            reason=ReviewReason.SHADOW,
        )
        review.offer(found)


def make_service(settings: Settings, manager: Manager, *, emit: Emit, threads: Executors) -> ScoringService:
    """Return what scores by the versions of the manager."""
    return ScoringService(
        lease=manager.lease,
        threads=Threads(threads.tokenise),
        clock=SystemClock(),
        emit=emit,
        limits=ScoringLimits(
            windows=settings.max_windows,
            span_passes=settings.max_span_passes,
            interactive_tokens=settings.interactive_tokens,
        ),
    )


def with_canary(settings: Settings, scorer: Scorer) -> Scorer:
    """Return what lets a canary answer its share of the callers, if there is one."""
    if not settings.canary_fraction:
        return scorer
    return CanaryScorer(scorer, default_alias=settings.model_alias, fraction=settings.canary_fraction)


def with_review(settings: Settings, scorer: Scorer, review: ReviewQueue) -> Scorer:
    """Return what offers uncertain texts for the review, if texts are kept for it."""
    if not settings.review_texts:
        return scorer
    return ReviewSampler(scorer, offer=review.offer, fraction=settings.review_fraction, draw=random.random)
