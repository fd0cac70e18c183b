"""From texts to calibrated scores and decisions: what every door calls.

Invariant: scores and decisions come from one version's model, tokenizer, calibration and thresholds; a
session holds that version from the first text to the last.
"""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import numpy as np

from toxic_core.calibration import calibrate
from toxic_core.contract import Contract
from toxic_core.tokens import EncodedText
from toxic_inference.serving.clock import Clock
from toxic_inference.serving.harness import ActiveServable
from toxic_inference.serving.interfaces import Float32Array, Lane, Row, Session, Target, Text, TextScore
from toxic_inference.serving.observers import ScoringObserver


class Leases(Protocol):
    """What leases versions; the manager does."""

    def lease(self, target: Target) -> AbstractContextManager[ActiveServable]:
        """Hold the version that `target` names; raises as `Manager.lease`."""
        ...


class ScoringService:
    """Implements `Scorer` over the manager.

    Args:
        manager: leases the versions.
        executor: threads for tokenising, which takes longer than the event loop should stand still.
        clock: for timings.
        observer: told of every call.
    """

    def __init__(
        self, *, manager: Leases, executor: Executor, clock: Clock, observer: ScoringObserver
    ) -> None:
        self._manager = manager
        self._executor = executor
        self._clock = clock
        self._observer = observer

    @contextmanager
    def session(self, target: Target) -> Iterator[Session]:
        """Hold the version that `target` names; raises as `Manager.lease`."""
        with self._manager.lease(target) as active:
            yield _LeasedSession(active, self._executor, self._clock, self._observer)


class _LeasedSession:
    """Implements `Session` on one leased version."""

    def __init__(
        self, active: ActiveServable, executor: Executor, clock: Clock, observer: ScoringObserver
    ) -> None:
        self._active = active
        self._executor = executor
        self._clock = clock
        self._observer = observer

    @property
    def version(self) -> str:
        return self._active.id.version

    @property
    def contract(self) -> Contract:
        return self._active.servable.contract

    async def score(self, texts: Sequence[Text], *, lane: Lane) -> Sequence[TextScore]:
        encoded = await self._tokenise([text.content for text in texts])
        raw = await self._active.scheduler.submit([Row(ids=text.ids) for text in encoded], lane=lane)
        languages = [text.language for text in texts]
        calibrated = calibrate(raw, languages=languages, contract=self.contract)
        decided = calibrated >= _thresholds(self.contract, languages)
        return [
            TextScore(
                scores=tuple(scores),
                decisions=tuple(decisions),
                tokens=len(text.ids),
                truncated=text.truncated,
            )
            for text, scores, decisions in zip(encoded, calibrated.tolist(), decided.tolist(), strict=True)
        ]

    async def infer(self, rows: Sequence[Row], *, lane: Lane) -> Float32Array:
        return await self._active.scheduler.submit(rows, lane=lane)

    async def infer_texts(self, texts: Sequence[str], *, lane: Lane) -> Float32Array:
        encoded = await self._tokenise(texts)
        return await self._active.scheduler.submit([Row(ids=text.ids) for text in encoded], lane=lane)

    async def _tokenise(self, texts: Sequence[str]) -> Sequence[EncodedText]:
        started = self._clock.now()
        loop = asyncio.get_running_loop()
        encoder = self._active.servable.encoder
        encoded = await loop.run_in_executor(self._executor, encoder.encode_each, texts)
        self._observer.tokenised(
            texts=len(texts),
            truncated=sum(text.truncated for text in encoded),
            seconds=self._clock.now() - started,
        )
        return encoded


def _thresholds(contract: Contract, languages: Sequence[str | None]) -> Float32Array:
    return np.array(
        [[contract.threshold(label, language) for label in contract.labels] for language in languages],
        dtype=np.float32,
    )
