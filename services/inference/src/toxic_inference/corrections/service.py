"""Takes corrections in, for every door that has them.

Invariant: the store is only touched off the event loop; what is counted was kept, once.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from toxic_core.labels import LabelName
from toxic_inference.corrections.record import Feedback, FeedbackSource, FeedbackStore
from toxic_inference.events import CorrectionKept, Emit, LabelJudged

_PAGE_ROWS = 500


@dataclass(frozen=True, slots=True)
class FeedbackDesk:
    """Between the doors and the store.

    Attributes:
        store: keeps corrections.
        now: the time, in UTC.
        emit: receives each one kept.
    """

    store: FeedbackStore
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
        """Return a correction that comes in now."""
        return Feedback(
            id=feedback_id,
            # PostgreSQL's texts hold every character but this one, which shows nothing.
            text=None if text is None else text.replace("\0", "\ufffd"),
            language=language,
            labels=labels,
            scores=scores or {},
            created_at=self.now(),
            model_version=model_version,
            source=source,
            actor=actor,
        )

    async def file(self, feedback: Feedback) -> bool:
        """Keep a correction; return False where it was kept before. Raises as `FeedbackStore.add`."""
        kept = await asyncio.to_thread(self.store.add, feedback)
        if kept:
            self.emit(CorrectionKept(feedback.source.value))
            for label, carries in feedback.labels.items():
                self.emit(LabelJudged(label, "yes" if carries else "no"))
        return kept

    async def delete(self, feedback_id: str) -> None:
        """Remove a correction. Raises as `FeedbackStore.delete`."""
        await asyncio.to_thread(self.store.delete, feedback_id)

    async def pages(self) -> AsyncIterator[list[Feedback]]:
        """Yield every correction, oldest first, page by page."""
        after = 0
        while page := await asyncio.to_thread(self.store.page, after=after, limit=_PAGE_ROWS):
            after = page[-1][0]
            yield [feedback for _, feedback in page]
