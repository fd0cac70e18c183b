"""Moderators' corrections: what one is, and where they are kept.

Invariant: a text is part of a correction only where its sender consented to that; and an id, once taken,
means one correction for ever, so that sending it again changes nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from toxic_core.errors import ToxicError
from toxic_core.labels import LabelName


class FeedbackSource(StrEnum):
    """Which door a correction came through."""

    NATIVE = "native"
    PAGE = "page"
    PERSPECTIVE = "perspective"


@dataclass(frozen=True, slots=True)
class Feedback:
    """One correction.

    Attributes:
        id: the client's, or made here.
        text: the comment; None where it may not be kept.
        language: of the comment (ISO 639-1), where it is known.
        labels: what the moderator says, by label; labels left out weren't judged.
        scores: what the model said, by label, where the client says so.
        created_at: when it came in.
        model_version: which gave the scores.
        source: the door it came through.
        actor: who judged, in the client's own terms.
    """

    id: str
    text: str | None
    language: str | None
    labels: Mapping[LabelName, bool]
    scores: Mapping[LabelName, float]
    created_at: datetime
    model_version: str | None
    source: FeedbackSource
    actor: str | None

    def repeats(self, other: "Feedback") -> bool:
        """Return whether it says the same as `other`, which may have come at another time."""
        return self == replace(other, created_at=self.created_at)


class FeedbackConflictError(ToxicError):
    """An id that another correction has."""


class UnknownFeedbackError(ToxicError):
    """No correction of that id."""


class FeedbackUnavailableError(ToxicError):
    """The store can't be read or written now."""


class FeedbackStore(Protocol):
    """Keeps corrections. Every method blocks: call it off the event loop, from any thread.

    All raise `FeedbackUnavailableError` where the store can't be reached.
    """

    def add(self, feedback: Feedback) -> bool:
        """Keep a correction, durably; return False where it was there already.

        Raises:
            FeedbackConflictError: its id is taken by one that says something else.
        """
        ...

    def delete(self, feedback_id: str) -> None:
        """Remove a correction for good.

        Raises:
            UnknownFeedbackError: there is none of that id.
        """
        ...

    def labels(self) -> Collection[LabelName]:
        """Return every label that a stored correction judges."""
        ...

    def page(self, *, after: int, limit: int) -> Sequence[tuple[int, Feedback]]:
        """Return the next `limit` corrections, oldest first, each with its place.

        Args:
            after: the place of the last one seen; 0 for the first page.
            limit: at most so many.
        """
        ...
