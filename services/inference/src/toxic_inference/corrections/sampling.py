"""Samples scored texts for the review: those of which a decision is uncertain.

Invariant: a text is sampled only if its caller lets it be stored, and never a part of one: it couldn't be
found again to be deleted. Sampling costs a draw per text, and for a drawn one a look at its scores.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from typing import Final

from toxic_core.contract import Contract
from toxic_inference.corrections.review_store import Candidate
from toxic_inference.events import ReviewReason
from toxic_inference.serving.interfaces import Scorer, Session, Target, Terms, Text, TextScore
from toxic_inference.serving.scoring.sampled import SampledSession
from toxic_inference.serving.scoring.service import DEFAULT_TERMS

_UNCERTAIN: Final = 0.1
"""Distance of a score to its threshold within which a decision is uncertain."""


@dataclass(frozen=True, slots=True)
class ReviewSampler:
    """Implements `Scorer` over another one, and offers a share of the uncertain texts for the review.

    Attributes:
        scorer: scores.
        offer: takes the texts; returns at once.
        fraction: share of the texts that are looked at, from 0 to 1.
        draw: returns a random number from 0 to 1, to sample by.
    """

    scorer: Scorer
    _: KW_ONLY
    offer: Callable[[Candidate], None]
    fraction: float
    draw: Callable[[], float]

    @contextmanager
    def session(self, target: Target, terms: Terms = DEFAULT_TERMS) -> Iterator[Session]:
        """Lease the version that `target` names; raises as the scorer does."""
        with self.scorer.session(target, terms) as session:
            yield SampledSession(session, self._look) if terms.store else session

    def _look(self, served: Session, texts: Sequence[Text], scores: Sequence[TextScore]) -> None:
        for text, score in zip(texts, scores, strict=True):
            if text.whole and self.draw() < self.fraction:
                found = candidate(
                    text,
                    score,
                    version=served.version,
                    contract=served.contract,
                    reason=ReviewReason.UNCERTAIN,
                )
                if found.distance <= _UNCERTAIN:
                    self.offer(found)


def candidate(
    text: Text, score: TextScore, *, version: str, contract: Contract, reason: ReviewReason
) -> Candidate:
    """Return a scored text as a candidate for the review."""
    return Candidate(
        text=text.content,
        language=text.language,
        version=version,
        seen=dict(zip(contract.labels, zip(score.scores, score.decisions, strict=True), strict=True)),
        reason=reason,
        distance=min(
            abs(value - contract.threshold(label, text.language))
            for label, value in zip(contract.labels, score.scores, strict=True)
        ),
    )
