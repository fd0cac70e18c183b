"""Moderators' corrections: the records and their errors.

Invariant: a text is part of a correction only if its sender consented; sending a correction again changes
nothing, and another one with its id is a conflict, unless it is meant to replace it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from toxic_core.errors import OverloadedError, ToxicError
from toxic_core.labels import LabelName


class FeedbackSource(StrEnum):
    """The door that a correction came through."""

    NATIVE = "native"
    PAGE = "page"
    PERSPECTIVE = "perspective"
    REVIEW = "review"


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
        caller: who sent it: the name of its API key, else a pseudonym of its peer; None before it is filed.
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
    caller: str | None = None

    def repeats(self, other: "Feedback") -> bool:
        """Return whether it equals `other`, apart from the time and the caller."""
        return self == replace(other, created_at=self.created_at, caller=self.caller)


@dataclass(frozen=True, slots=True)
class Judged:
    """A correction without its text.

    Attributes:
        version: the version that scored the comment.
        language: of the comment; None if unknown.
        labels: the moderator's judgement per label.
        scores: the version's scores, as the client reported them.
    """

    version: str
    language: str | None
    labels: Mapping[LabelName, bool]
    scores: Mapping[LabelName, float]


class FeedbackConflictError(ToxicError):
    """Another correction has the id."""


class FeedbackFullError(OverloadedError):
    """There is no room for another correction of this caller."""


class UnknownFeedbackError(ToxicError):
    """There is no correction with that id."""


class FeedbackUnavailableError(ToxicError):
    """The store can't be reached now."""
