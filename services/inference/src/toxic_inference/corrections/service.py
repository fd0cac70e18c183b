"""The corrections service: files, exports and deletes corrections, for every door that takes them.

Invariant: the store is only touched off the event loop; a `CorrectionKept` is emitted once per correction,
after it was stored.
"""

import dataclasses
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from hashlib import blake2b
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from threading import Lock

from toxic_core.labels import LabelName
from toxic_inference.budget import Budget
from toxic_inference.corrections.record import (
    Feedback,
    FeedbackFullError,
    FeedbackSource,
)
from toxic_inference.corrections.store import OVERHEAD_BYTES, DatabaseFeedbackStore, Sizes
from toxic_inference.corrections.tables import storable
from toxic_inference.events import CorrectionKept, Emit, LabelJudged
from toxic_inference.threads import Threads

_PAGE_ROWS = 500


@dataclass(eq=False, slots=True)
class CorrectionService:
    """Between the doors and the store.

    Attributes:
        store: stores corrections.
        threads: for the store only.
        now: the time, in UTC.
        emit: takes `CorrectionKept` and `LabelJudged`.
        room: bytes for corrections, by `Feedback.caller`; those that were stored before a start count too.
        kept: takes every correction that was stored, at once.
    """

    store: DatabaseFeedbackStore
    threads: Threads
    now: Callable[[], datetime]
    emit: Emit
    room: Budget
    kept: Callable[[Feedback], None] = lambda _: None
    _counted: bool = field(default=False, init=False)
    _counting: Lock = field(default_factory=Lock, init=False)

    def make(
        self,
        feedback_id: str,
        *,
        text: str | None,
        language: str | None,
        labels: Mapping[LabelName, bool],
        source: FeedbackSource,
        scores: Mapping[LabelName, float] | None = None,
        model_version: str | None = None,
        actor: str | None = None,
    ) -> Feedback:
        """Return a new correction with the current time."""
        return Feedback(
            id=feedback_id,
            text=None if text is None else storable(text),
            language=language,
            labels=labels,
            scores=scores or {},
            created_at=self.now(),
            model_version=model_version,
            source=source,
            actor=None if actor is None else storable(actor),
        )

    async def file(self, feedback: Feedback, *, replace: bool = False, caller: str = "") -> bool:
        """Store a correction; return False if it was stored before. As `DatabaseFeedbackStore.add`.

        Raises:
            FeedbackFullError: there is no room for it, or the caller's share is full.
        """
        await self._count()
        name = pseudonym(caller, await self.threads.run(self.store.secret))
        feedback = dataclasses.replace(feedback, caller=name)
        size = len(feedback.text or "") + OVERHEAD_BYTES
        await self._reserve(name, feedback, size)
        outcome: list[Sizes | None] = []
        try:
            await self.threads.run_to_end(lambda: outcome.append(self.store.add(feedback, replace=replace)))
        finally:  # also if the caller has left: what has begun is stored
            replaced = outcome[0] if outcome else None
            self._release({name: size} if replaced is None else replaced)
            if replaced is not None:
                self._report(feedback)
        return replaced is not None

    def _report(self, feedback: Feedback) -> None:
        self.emit(CorrectionKept(feedback.source.value))
        for label, applies in feedback.labels.items():
            self.emit(LabelJudged(label, "yes" if applies else "no"))
        self.kept(feedback)

    async def _reserve(self, caller: str, feedback: Feedback, size: int) -> None:
        """Reserve a correction's room; one that is repeated or replaced needs only what it grows by."""
        try:
            self.room.reserve(caller, size)
        except FeedbackFullError:
            stored = await self.threads.run(self.store.size_of, feedback)
            if not stored:
                raise
            if size > stored:
                self.room.reserve(caller, size - stored)
            self.room.reserve(caller, min(size, stored), always=True)

    async def delete(self, feedback_id: str) -> None:
        """Remove a correction. Raises as `DatabaseFeedbackStore.delete`."""
        await self._remove(self.store.delete, feedback_id)

    async def forget(self, digest: str) -> None:
        """Remove a text everywhere. Raises as `DatabaseFeedbackStore.forget`."""
        await self._remove(self.store.forget, digest)

    async def _remove(self, remove: Callable[[str], Sizes], what: str) -> None:
        await self._count()
        removed: list[Sizes] = []
        try:
            await self.threads.run_to_end(lambda: removed.append(remove(what)))
        finally:
            for sizes in removed:
                self._release(sizes)

    async def labels(self) -> list[LabelName]:
        """Return every label that a correction judges, sorted. Raises as `DatabaseFeedbackStore.labels`."""
        return sorted(await self.threads.run(self.store.labels))

    async def pages(self, *, after: int = 0) -> AsyncIterator[list[tuple[int, Feedback]]]:
        """Yield every correction after a position in pages, oldest first, each with its position."""
        while page := await self.threads.run(partial(self.store.page, after=after, limit=_PAGE_ROWS)):
            after = page[-1][0]
            yield [*page]

    async def _count(self) -> None:
        """Reserve the room of what is stored, once, and before anything changes it."""

        def count() -> None:
            # On the thread: if a caller is cancelled meanwhile, the next one doesn't count again.
            with self._counting:
                if not self._counted:
                    for caller, size in self.store.sizes().items():
                        self.room.reserve(caller, size, always=True)
                    self._counted = True

        if not self._counted:
            await self.threads.run(count)

    def _release(self, sizes: Sizes) -> None:
        for caller, size in sizes.items():
            self.room.release(caller, size)


def pseudonym(caller: str, secret: bytes) -> str:
    """Return a caller as it is stored: the name of a key, or a digest of an address or an IPv6 network.

    Without the secret, every address could be tried.
    """
    try:
        address = ip_address(caller)
    except ValueError:
        return caller
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    network = address if isinstance(address, IPv4Address) else ip_network((address, 64), strict=False)
    return f"peer-{blake2b(str(network).encode(), digest_size=6, key=secret).hexdigest()}"
