"""The challenger scores a sampled share of the champion's traffic, to show where the two disagree.

Owns the samples that wait; they hold texts, in memory alone, for as long as it takes to score them.

Invariant: nobody waits for a challenger. Samples are scored one at a time and only while nothing else is to
be computed, so that they delay a caller by one text at most, and they are the first to be dropped under load.
What a caller wants not to be stored isn't sampled.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from toxic_core.contract import Contract
from toxic_core.errors import NoVersionReadyError, UnknownModelError
from toxic_core.labels import LabelName
from toxic_inference.events import Emit, ShadowCompared, ShadowDrop, ShadowDropped
from toxic_inference.serving.clock import Clock
from toxic_inference.serving.interfaces import (
    Explanation,
    Float32Array,
    Lane,
    Row,
    Scorer,
    Session,
    Target,
    Terms,
    Text,
    TextScore,
)
from toxic_inference.serving.scoring.service import DEFAULT_TERMS

_log = structlog.get_logger(__name__)

_WAITING = 256
"""Samples that wait for an idle moment; the oldest goes where there are more."""

_LOOK_SECONDS = 0.05
"""How often a busy service is looked at for an idle moment."""


@dataclass(frozen=True, slots=True)
class _Sample:
    text: Text
    version: str
    labels: tuple[LabelName, ...]
    score: TextScore


@dataclass(frozen=True, slots=True)
class ShadowParts:
    """What shadowing works with.

    Attributes:
        scorer: scores for callers and, by alias, for the challenger.
        default_alias: whose traffic is sampled.
        shadow_alias: who scores the samples.
        idle: whether no caller's text waits or is computed.
        clock: for looking again.
        emit: receives the events of every sample.
        draw: a random number from 0 to 1, to sample by.
    """

    scorer: Scorer
    default_alias: str
    shadow_alias: str
    idle: Callable[[], bool]
    clock: Clock
    emit: Emit
    draw: Callable[[], float]


class ShadowingScorer:
    """Implements `Scorer` over another one, and shows the challenger a share of what it scores.

    Args:
        parts: what it works with.
        fraction: share of the texts that are sampled, from 0 to 1.
    """

    def __init__(self, parts: ShadowParts, *, fraction: float) -> None:
        self._parts = parts
        self._fraction = fraction
        self._samples: deque[_Sample] = deque()
        self._work = asyncio.Event()

    @contextmanager
    def session(self, target: Target, terms: Terms = DEFAULT_TERMS) -> Iterator[Session]:
        """Hold the version that `target` names; raises as the scorer does."""
        sampled = target.version is None and target.alias in {None, self._parts.default_alias}
        with self._parts.scorer.session(target, terms) as session:
            yield _SampledSession(session, self._offer) if sampled and terms.store else session

    async def run(self) -> None:
        """Score samples in idle moments, until cancelled."""
        while True:
            await self._work.wait()
            if not self._samples:
                self._work.clear()
            elif self._parts.idle():
                await self._compare(self._samples.popleft())
            else:
                await self._parts.clock.wait(asyncio.Event(), at_most_seconds=_LOOK_SECONDS)

    def _offer(self, session: Session, texts: Sequence[Text], scores: Sequence[TextScore]) -> None:
        for text, score in zip(texts, scores, strict=True):
            if self._parts.draw() >= self._fraction:
                continue
            if len(self._samples) >= _WAITING:
                self._samples.popleft()
                self._parts.emit(ShadowDropped(ShadowDrop.LOAD))
            self._samples.append(_Sample(text, session.version, session.contract.labels, score))
            self._work.set()

    async def _compare(self, sample: _Sample) -> None:
        try:
            with self._parts.scorer.session(Target(alias=self._parts.shadow_alias)) as session:
                if session.version == sample.version:
                    self._parts.emit(ShadowDropped(ShadowDrop.SAME_VERSION))
                    return
                (shadow,) = await session.score([sample.text], lane=Lane.BULK)
                self._report(sample, shadow, session.contract.labels)
        except (UnknownModelError, NoVersionReadyError):
            self._parts.emit(ShadowDropped(ShadowDrop.NO_CHALLENGER))
        except Exception as error:  # noqa: BLE001  a task's boundary: shadowing goes on whatever a challenger does
            _log.warning("shadow.failed", error_type=type(error).__name__)
            self._parts.emit(ShadowDropped(ShadowDrop.FAILED))

    def _report(self, sample: _Sample, shadow: TextScore, labels: Sequence[LabelName]) -> None:
        """Compare the labels that both versions have."""
        theirs = dict(zip(labels, zip(shadow.scores, shadow.decisions, strict=True), strict=True))
        served = zip(sample.labels, sample.score.scores, sample.score.decisions, strict=True)
        for label, score, decision in served:
            if label in theirs:
                their_score, their_decision = theirs[label]
                difference = abs(score - their_score)
                self._parts.emit(ShadowCompared(label, difference, disagrees=decision is not their_decision))


class _SampledSession:
    """Implements `Session` over another one, and offers what it scored."""

    def __init__(
        self, session: Session, offer: Callable[[Session, Sequence[Text], Sequence[TextScore]], None]
    ) -> None:
        self._session = session
        self._offer = offer

    @property
    def version(self) -> str:
        return self._session.version

    @property
    def contract(self) -> Contract:
        return self._session.contract

    async def score(self, texts: Sequence[Text], *, lane: Lane) -> Sequence[TextScore]:
        scores = await self._session.score(texts, lane=lane)
        self._offer(self, texts, scores)
        return scores

    async def explain(self, text: Text, *, lane: Lane) -> Explanation:
        return await self._session.explain(text, lane=lane)

    async def infer(self, rows: Sequence[Row], *, lane: Lane) -> Float32Array:
        return await self._session.infer(rows, lane=lane)

    async def infer_texts(self, texts: Sequence[str], *, lane: Lane) -> Float32Array:
        return await self._session.infer_texts(texts, lane=lane)
