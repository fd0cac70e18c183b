"""The review: moderators judge texts, two opinions each, until they become corrections.

Invariant: the store is only touched off the event loop; a decided text leaves the review only after its
corrections were filed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b

from toxic_core.labels import LabelName
from toxic_inference.corrections.agreement import Agreement, Judgement
from toxic_inference.corrections.record import Feedback, FeedbackSource, UnknownFeedbackError
from toxic_inference.corrections.review_queue import ReviewQueue
from toxic_inference.corrections.review_store import Opinion, ReviewItem
from toxic_inference.corrections.service import CorrectionService, pseudonym
from toxic_inference.events import OpinionGiven, OpinionOutcome


@dataclass(frozen=True, slots=True)
class ReviewService:
    """Between the doors and the store of the review.

    Attributes:
        queue: of the texts.
        corrections: files what was decided.
    """

    queue: ReviewQueue
    corrections: CorrectionService

    async def page(
        self, caller: str | None, *, after: tuple[int, int] | None, limit: int
    ) -> Sequence[tuple[tuple[int, int], ReviewItem]]:
        """Return texts that a caller hasn't judged (None for all), the most urgent first, with positions."""
        name = None if caller is None else await self._name(caller)
        read = partial(
            self.queue.store.page, after=after, limit=limit, reviewer=name, since=self.queue.since()
        )
        return await self.corrections.threads.run(read)

    async def judge(
        self, digest: str, labels: Judgement, *, caller: str, annotator: str | None = None
    ) -> tuple[OpinionOutcome, Sequence[LabelName]]:
        """Add an opinion; if it decides the text, file the corrections. Sending it again changes nothing.

        Args:
            digest: of the text.
            labels: the judgement of each of its labels.
            caller: who sends it.
            annotator: the person behind the caller, of a tool that has its own users.

        Returns:
            What became of the text, and the labels in dispute.

        Raises:
            UnknownReviewError: the text isn't in the review, or was decided.
            ReviewLabelsError: the labels aren't those of the text.
            FeedbackFullError, FeedbackUnavailableError: the corrections can't be filed; send it again.
        """
        name = await self._name(caller)
        opinion = Opinion(name if annotator is None else f"{name}/{annotator}", name, labels)
        judged = await self.corrections.threads.run(
            partial(
                self.queue.store.judge, digest, opinion, now=self.corrections.now(), since=self.queue.since()
            )
        )
        decision = judged.decision
        state = OpinionOutcome.DISPUTED if judged.disputed else OpinionOutcome.WAITING
        if decision is not None:
            state = OpinionOutcome.DECIDED
            for correction in self._corrections(judged, decision):
                await self.corrections.file(correction, replace=True, caller=str(correction.actor))
            await self.corrections.threads.run(self.queue.store.close, digest)
        self.corrections.emit(OpinionGiven(state))
        return state, judged.disputed

    async def forget(self, digest: str) -> None:
        """Remove a text everywhere: from the review, and every correction that has it.

        Raises:
            UnknownFeedbackError: it is nowhere.
        """
        waited = await self.queue.forget(digest)
        try:
            await self.corrections.forget(digest)
        except UnknownFeedbackError:
            if not waited:
                raise

    async def agreement(self) -> Mapping[LabelName, Agreement]:
        """Return how well the first two opinions of the latest texts agree, by label."""
        return await self.corrections.threads.run(self.queue.store.agreement)

    async def _name(self, caller: str) -> str:
        return pseudonym(caller, await self.corrections.threads.run(self.corrections.store.secret))

    def _corrections(self, item: ReviewItem, decision: Judgement) -> list[Feedback]:
        """Return a correction per caller, of the labels that it judged as was decided."""
        found = []
        for caller in dict.fromkeys(opinion.caller for opinion in item.opinions):
            mine = [opinion.labels for opinion in item.opinions if opinion.caller == caller]
            labels = {
                label: value
                for label, value in decision.items()
                if any(each[label] is value for each in mine)
            }
            if labels:
                name = blake2b(caller.encode(), digest_size=6).hexdigest()
                made = self.corrections.make(
                    f"review-{item.digest}-{name}",
                    text=item.text,
                    language=item.language,
                    labels=labels,
                    scores={label: score for label, (score, _) in item.seen.items() if score is not None},
                    source=FeedbackSource.REVIEW,
                    model_version=item.version,
                    actor=caller,
                )
                found.append(made)
        return found
