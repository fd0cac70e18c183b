"""The corrections service: files, exports and deletes corrections, for every door that takes them.

Invariant: the store is only touched off the event loop; a `CorrectionKept` is emitted once per correction,
after it was stored.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from toxic_core.labels import LabelName
from toxic_inference.corrections.record import (
    Feedback,
    FeedbackSource,
)
from toxic_inference.corrections.store import DatabaseFeedbackStore
from toxic_inference.events import CorrectionKept, Emit, LabelJudged

_PAGE_ROWS = 500


@dataclass(frozen=True, slots=True)
class CorrectionService:
    """Between the doors and the store.

    Attributes:
        store: stores corrections.
        now: the time, in UTC.
        emit: takes `CorrectionKept` and `LabelJudged`.
    """

    store: DatabaseFeedbackStore
    now: Callable[[], datetime]
    emit: Emit

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
            # PostgreSQL's texts can hold every character except NUL.
            text=None if text is None else text.replace("\0", "\ufffd"),
            language=language,
            labels=labels,
            scores=scores or {},
            created_at=self.now(),
            model_version=model_version,
            source=source,
            actor=actor,
        )

    async def file(self, feedback: Feedback, *, replace: bool = False) -> bool:
        """Store a correction; return False if it was stored before. As `DatabaseFeedbackStore.add`."""
        kept = await asyncio.to_thread(self.store.add, feedback, replace=replace)
        if kept:
            self.emit(CorrectionKept(feedback.source.value))
            for label, applies in feedback.labels.items():
                self.emit(LabelJudged(label, "yes" if applies else "no"))
        return kept

    async def delete(self, feedback_id: str) -> None:
        """Remove a correction. Raises as `DatabaseFeedbackStore.delete`."""
        await asyncio.to_thread(self.store.delete, feedback_id)

    async def labels(self) -> list[LabelName]:
        """Return every label that a correction judges, sorted. Raises as `DatabaseFeedbackStore.labels`."""
        return sorted(await asyncio.to_thread(self.store.labels))

    async def pages(self) -> AsyncIterator[list[Feedback]]:
        """Yield every correction in pages, oldest first."""
        after = 0
        while page := await asyncio.to_thread(self.store.page, after=after, limit=_PAGE_ROWS):
            after = page[-1][0]
            yield [feedback for _, feedback in page]
