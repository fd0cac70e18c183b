"""Shadow scoring: the challenger scores a sampled share of the champion's traffic, off the critical path.

Owns the samples that wait. They contain texts, in memory only, until they are scored.

Invariant: no caller waits for a challenger. Samples are scored one at a time and only while nothing else
waits or runs, so they delay a caller by one text at most, and under load they are dropped first. A text whose
caller declines storage isn't sampled.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field

import structlog

from toxic_core.contract import Contract
from toxic_core.errors import NoVersionReadyError, UnknownModelError
from toxic_inference.events import Emit, ShadowCompared, ShadowDrop, ShadowDropped
from toxic_inference.serving.clock import Clock
from toxic_inference.serving.interfaces import Lane, Scorer, Session, Target, Terms, Text, TextScore
from toxic_inference.serving.scoring.sampled import SampledSession
from toxic_inference.serving.scoring.service import DEFAULT_TERMS

_log = structlog.get_logger(__name__)

_WAITING = 256
"""Samples that wait for an idle moment; beyond that the oldest is dropped."""

_LOOK_SECONDS = 0.05
"""How often a busy service is checked for an idle moment."""


@dataclass(frozen=True, slots=True)
class ShadowSample:
    """A text that the champion scored.

    Attributes:
        text: the text.
        version: the champion's.
        contract: of that version.
        score: its score.
    """

    text: Text
    version: str
    contract: Contract
    score: TextScore


@dataclass(eq=False)
class ShadowingScorer:
    """Implements `Scorer` over another one, and lets the challenger score a share of the texts.

    Attributes:
        scorer: scores for callers and, by alias, for the challenger.
        default_alias: the alias whose traffic is sampled.
        shadow_alias: the alias that scores the samples.
        fraction: share of the texts that are sampled, from 0 to 1.
        idle: whether no caller's text waits or is computed.
        clock: for checking again.
        emit: receives the outcome of every sample.
        draw: returns a random number from 0 to 1, to sample by.
        disagreed: takes each text that champion and challenger decide differently; returns at once.
    """

    scorer: Scorer
    _: KW_ONLY
    default_alias: str
    shadow_alias: str
    fraction: float
    idle: Callable[[], bool]
    clock: Clock
    emit: Emit
    draw: Callable[[], float]
    disagreed: Callable[[ShadowSample], None] = lambda _: None
    _samples: deque[ShadowSample] = field(default_factory=deque, init=False)
    _work: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    @contextmanager
    def session(self, target: Target, terms: Terms = DEFAULT_TERMS) -> Iterator[Session]:
        """Lease the version that `target` names; raises as the scorer does."""
        sampled = target.version is None and target.alias in {None, self.default_alias}
        with self.scorer.session(target, terms) as session:
            yield SampledSession(session, self._offer) if sampled and terms.store else session

    async def run(self) -> None:
        """Score samples in idle moments, until cancelled."""
        while True:
            await self._work.wait()
            if not self._samples:
                self._work.clear()
            elif self.idle():
                await self._compare(self._samples.popleft())
            else:
                await self.clock.wait(asyncio.Event(), at_most_seconds=_LOOK_SECONDS)

    def _offer(self, served: Session, texts: Sequence[Text], scores: Sequence[TextScore]) -> None:
        for text, score in zip(texts, scores, strict=True):
            if self.draw() >= self.fraction:
                continue
            if len(self._samples) >= _WAITING:
                self._samples.popleft()
                self.emit(ShadowDropped(ShadowDrop.LOAD))
            self._samples.append(ShadowSample(text, served.version, served.contract, score))
            self._work.set()

    async def _compare(self, sample: ShadowSample) -> None:
        try:
            with self.scorer.session(Target(alias=self.shadow_alias)) as session:
                if session.version == sample.version:
                    self.emit(ShadowDropped(ShadowDrop.SAME_VERSION))
                    return
                (shadow,) = await session.score([sample.text], lane=Lane.BULK)
                labels = session.contract.labels
                theirs = dict(zip(labels, zip(shadow.scores, shadow.decisions, strict=True), strict=True))
                champion = sample.contract.labels
                served = zip(champion, sample.score.scores, sample.score.decisions, strict=True)
                differs = False
                for label, score, decision in served:
                    if label in theirs:
                        their_score, their_decision = theirs[label]
                        disagrees = decision is not their_decision
                        differs = differs or disagrees
                        self.emit(ShadowCompared(label, abs(score - their_score), disagrees))
                if differs:
                    self.disagreed(sample)
        except (UnknownModelError, NoVersionReadyError):
            self.emit(ShadowDropped(ShadowDrop.NO_CHALLENGER))
        except Exception as error:  # noqa: BLE001  a task's boundary: a failing challenger must not end shadowing
            _log.warning("shadow.failed", error_type=type(error).__name__)
            self.emit(ShadowDropped(ShadowDrop.FAILED))
