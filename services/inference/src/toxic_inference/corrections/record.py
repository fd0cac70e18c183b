"""Moderators' corrections: the record, and the store's interface.

Invariant: a text is part of a correction only if its sender consented; an id belongs to one correction for
ever, so that sending it again changes nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from toxic_core.errors import ToxicError
from toxic_core.labels import LabelName


class FeedbackSource(StrEnum):
    """The door that a correction came through."""

    NATIVE = "native"
    PAGE = "page"
    PERSPECTIVE = "perspective"


@dataclass(frozen=True, slots=True)
class Feedback:
    """One correction.

    Attributes:
        id: from the client, or generated.
        text: the comment; None if it may not be kept.
        language: the comment's language (ISO 639-1), if known.
        labels: the moderator's judgement by label; labels that are missing were not judged.
        scores: the model's scores by label, if the client sent them.
        created_at: when it was received.
        model_version: the version that gave the scores.
        source: the door it came through.
        actor: the moderator, in the client's own terms.
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
        """Return whether it equals `other`, apart from the time."""
        return self == replace(other, created_at=self.created_at)


class FeedbackConflictError(ToxicError):
    """Another correction has the id."""


class UnknownFeedbackError(ToxicError):
    """There is no correction with that id."""


class FeedbackUnavailableError(ToxicError):
    """The store can't be reached now."""


class FeedbackStore(Protocol):
    """Stores corrections. Every method blocks: call it off the event loop, from any thread.

    Every method raises `FeedbackUnavailableError` if the store can't be reached.
    """

    def add(self, feedback: Feedback) -> bool:
        """Store a correction durably; return False if it was stored already.

        Raises:
            FeedbackConflictError: a different correction has its id.
        """
        ...

    def delete(self, feedback_id: str) -> None:
        """Remove a correction for good.

        Raises:
            UnknownFeedbackError: there is no correction with that id.
        """
        ...

    def labels(self) -> Collection[LabelName]:
        """Return every label that a stored correction judges."""
        ...

    def page(self, *, after: int, limit: int) -> Sequence[tuple[int, Feedback]]:
        """Return the next corrections, oldest first, each with its position.

        Args:
            after: position of the last one seen; 0 for the first page.
            limit: largest number of corrections.
        """
        ...
