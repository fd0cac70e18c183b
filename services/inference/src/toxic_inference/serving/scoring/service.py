"""From texts to calibrated scores and decisions: what every door calls.

Invariant: scores and decisions come from one version's model, tokenizer, calibration and thresholds; a
session holds that version from the first text to the last.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from toxic_core.contract import Contract
from toxic_core.contract.calibration import calibrate
from toxic_core.text import words
from toxic_inference.events import CacheLookedUp, Emit, TextsScored, TextsTokenised
from toxic_inference.serving.clock import Clock
from toxic_inference.serving.errors import InferenceError
from toxic_inference.serving.interfaces import (
    Explanation,
    Float32Array,
    Lane,
    Row,
    Session,
    Target,
    Terms,
    Text,
    TextScore,
)
from toxic_inference.serving.scoring import explaining
from toxic_inference.serving.scoring.cache import RawScore
from toxic_inference.serving.scoring.reading import Reading, complete, read, summarise
from toxic_inference.serving.versions.harness import ActiveServable

Result = TypeVar("Result")

DEFAULT_TERMS = Terms()


class Leases(Protocol):
    """What leases versions; the manager does."""

    def lease(self, target: Target) -> AbstractContextManager[ActiveServable]:
        """Hold the version that `target` names; raises as `Manager.lease`."""
        ...


@dataclass(frozen=True, slots=True)
class ScoringLimits:
    """How much one text may cost.

    Attributes:
        windows: most windows that a long text is read in.
        span_passes: most rows that it takes to explain a text, beyond its own windows.
    """

    windows: int
    span_passes: int


@dataclass(frozen=True, slots=True)
class ScoringParts:
    """What scoring works with.

    Attributes:
        manager: leases the versions.
        executor: threads for tokenising, which takes longer than the event loop should stand still.
        clock: for timings and deadlines.
        emit: receives the events of every call.
        limits: how much one text may cost.
    """

    manager: Leases
    executor: Executor
    clock: Clock
    emit: Emit
    limits: ScoringLimits


class ScoringService:
    """Implements `Scorer` over the manager."""

    def __init__(self, parts: ScoringParts) -> None:
        self._parts = parts

    @contextmanager
    def session(self, target: Target, terms: Terms = DEFAULT_TERMS) -> Iterator[Session]:
        """Hold the version that `target` names; raises as `Manager.lease`."""
        with self._parts.manager.lease(target) as active:
            yield _LeasedSession(active, terms, self._parts)


class _LeasedSession:
    """Implements `Session` on one leased version."""

    def __init__(self, active: ActiveServable, terms: Terms, parts: ScoringParts) -> None:
        self._active = active
        self._parts = parts
        self._cache = active.cache if terms.store and active.cache.keeps else None
        timeout = terms.timeout_seconds
        self._deadline = None if timeout is None else parts.clock.now() + timeout

    @property
    def version(self) -> str:
        return self._active.id.version

    @property
    def contract(self) -> Contract:
        return self._active.servable.contract

    async def score(self, texts: Sequence[Text], *, lane: Lane) -> Sequence[TextScore]:
        found = await self._raw([text.content for text in texts], lane=lane)
        return self._decide(found, [text.language for text in texts])

    async def infer(self, rows: Sequence[Row], *, lane: Lane) -> Float32Array:
        return await self._active.scheduler.submit(rows, lane=lane, deadline=self._deadline)

    async def infer_texts(self, texts: Sequence[str], *, lane: Lane) -> Float32Array:
        return np.stack([score.scores for score in await self._raw(texts, lane=lane)])

    async def explain(self, text: Text, *, lane: Lane) -> Explanation:
        encoder, limits = self._active.servable.encoder, self._parts.limits
        aligned = await self._off_loop(lambda: encoder.encode_aligned(text.content, most=limits.windows))
        whole = await self.infer([Row(ids=window) for window in aligned.text.windows], lane=lane)
        occlusion = explaining.plan(aligned, whole, passes=limits.span_passes)
        trials = await self.infer(occlusion.rows, lane=lane) if occlusion.rows else whole[:0]
        (score,) = self._decide([summarise(aligned.text, whole)], [text.language])
        return Explanation(
            score=score,
            spans=explaining.spans(
                words(text.content),
                occlusion,
                windows=self._calibrate(whole, [text.language] * len(whole)),
                trials=self._calibrate(trials, [text.language] * len(trials)),
            ),
        )

    async def _raw(self, texts: Sequence[str], *, lane: Lane) -> list[RawScore]:
        if not texts:
            raise InferenceError("No texts were given to score.")
        if lane is Lane.INTERACTIVE:
            # Before anything is read: in overload even that is too much for what will be refused.
            self._active.scheduler.check_room(len(texts))
        reading = await self._read(texts)
        rows = reading.rows
        scores = await self.infer(rows, lane=lane) if rows else np.empty((0, 0), np.float32)
        found = complete(reading, scores)
        if self._cache is not None:
            self._cache.keep(dict(zip(reading.digests, found, strict=True)))
        return found

    async def _read(self, texts: Sequence[str]) -> Reading:
        started = self._parts.clock.now()
        encoder, cache, windows = self._active.servable.encoder, self._cache, self._parts.limits.windows
        reading = await self._off_loop(lambda: read(texts, encoder=encoder, windows=windows, cache=cache))
        unknown = reading.unknown
        self._parts.emit(
            TextsTokenised(
                version=self.version,
                texts=len(unknown),
                windows=sum(len(text.windows) for text in unknown),
                tokens=sum(len(window) for text in unknown for window in text.windows),
                unknown=sum(text.unknown for text in unknown),
                truncated=sum(text.truncated for text in unknown),
                seconds=self._parts.clock.now() - started,
            )
        )
        if cache is not None:
            hits = len(texts) - len(unknown)
            self._parts.emit(CacheLookedUp(self.version, hits, len(unknown)))
        return reading

    async def _off_loop(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._parts.executor, work)

    def _calibrate(self, raw: Float32Array, languages: Sequence[str | None]) -> Float32Array:
        return calibrate(raw, languages=languages, contract=self.contract)

    def _decide(self, found: Sequence[RawScore], languages: Sequence[str | None]) -> list[TextScore]:
        calibrated = self._calibrate(np.stack([score.scores for score in found]), languages)
        decided = calibrated >= _thresholds(self.contract, languages)
        tokens = [raw.tokens for raw in found]
        self._parts.emit(TextsScored(self.version, languages, calibrated, decided, tokens))
        return [
            TextScore(
                scores=tuple(scores),
                decisions=tuple(decisions),
                tokens=raw.tokens,
                truncated=raw.truncated,
                windows=raw.windows,
            )
            for raw, scores, decisions in zip(found, calibrated.tolist(), decided.tolist(), strict=True)
        ]


def _thresholds(contract: Contract, languages: Sequence[str | None]) -> Float32Array:
    return np.array(
        [[contract.threshold(label, language) for label in contract.labels] for language in languages],
        dtype=np.float32,
    )
