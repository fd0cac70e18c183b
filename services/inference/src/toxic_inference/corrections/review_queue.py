"""The way of texts into the review.

Owns the texts that wait to be stored, in memory.

Invariant: no caller waits for the review: an offer costs one append. What is stored is bounded in number and
age; with `texts` at 0 that is nothing, and what was stored before is removed.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog

from toxic_core.errors import ToxicError
from toxic_inference.corrections.record import Feedback, FeedbackSource
from toxic_inference.corrections.review_store import Candidate, ReviewStore
from toxic_inference.corrections.tables import digest_of
from toxic_inference.events import Emit, ReviewDropped, ReviewKept, ReviewReason
from toxic_inference.serving.clock import Clock
from toxic_inference.threads import Threads

_log = structlog.get_logger(__name__)

WAITING: Final = 256
"""Texts that wait to be stored; more are dropped."""

_NAMED: Final = 1_000
"""Texts of an older release that get their digests with one batch."""
_EVERY_SECONDS: Final = 1.0
_PRUNE_SECONDS: Final = 3_600.0


@dataclass(eq=False)
class ReviewQueue:
    """Takes texts in, and stores them in batches.

    Attributes:
        store: stores texts.
        threads: for the store only.
        clock: for the time between two batches.
        now: the time, in UTC.
        emit: takes what was kept and dropped.
        texts: most texts that are kept.
        keep: how long a text is kept.
    """

    store: ReviewStore
    _: KW_ONLY
    threads: Threads
    clock: Clock
    now: Callable[[], datetime]
    emit: Emit
    texts: int
    keep: timedelta
    _waiting: deque[Candidate | Feedback] = field(default_factory=deque, init=False)
    _work: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _storing: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    def offer(self, candidate: Candidate | Feedback) -> None:
        """Take a text in, or a correction that may contradict others. Returns at once."""
        if not self.texts:
            return
        if isinstance(candidate, Feedback) and (
            candidate.text is None or candidate.source is FeedbackSource.REVIEW
        ):
            return
        if len(self._waiting) >= WAITING:
            self.emit(ReviewDropped())
            return
        self._waiting.append(candidate)
        self._work.set()

    async def forget(self, digest: str) -> bool:
        """Drop a text that waits, once no batch is being stored; return whether there was one."""
        async with self._storing:
            waiting = len(self._waiting)
            self._waiting = deque(each for each in self._waiting if digest_of(str(each.text)) != digest)
            return len(self._waiting) < waiting

    def since(self) -> datetime:
        """Return the time before which texts are too old."""
        return self.now() - self.keep

    async def run(self) -> None:
        """Store what was offered, and remove what is too old or too much, until cancelled."""
        while True:
            await self.flush()
            await self.clock.wait(self._work, at_most_seconds=_PRUNE_SECONDS)
            # In batches, which bound the writes per second: more texts than that are dropped.
            await self.clock.wait(asyncio.Event(), at_most_seconds=_EVERY_SECONDS)

    async def flush(self) -> None:
        """Store what was offered; drop it if the store can't be reached."""
        async with self._storing:
            batch = [*self._waiting]
            self._waiting.clear()
            self._work.clear()
            try:
                if await self.threads.run(self.store.corrections.name_texts, _NAMED):
                    self._work.set()  # there may be more
                for reason in await self.threads.run(partial(self._store, batch)):
                    self.emit(ReviewKept(reason))
            except ToxicError as error:
                _log.warning("review.failed", error=str(error))
                for _ in batch:
                    self.emit(ReviewDropped())

    def _store(self, batch: Sequence[Candidate | Feedback]) -> list[ReviewReason]:
        candidates = []
        for each in batch:
            if isinstance(each, Candidate):
                candidates.append(each)
            elif self.store.corrections.disputes(each):
                seen = {label: (each.scores.get(label), None) for label in each.labels}
                facts = str(each.text), each.language, each.model_version
                candidates.append(Candidate(*facts, seen, ReviewReason.CONTRADICTION))
        return self.store.add(candidates, now=self.now(), since=self.since(), most=self.texts)
