"""The six labels: their order, and their names at the Perspective API.

Invariant: the order never changes. It is the order of a model's output columns, and `contract.json`
repeats it so that a model trained with another order is refused rather than misread.
"""

from enum import StrEnum


class Label(StrEnum):
    """One label of the Jigsaw toxic comment data, by its column name there."""

    TOXIC = "toxic"
    SEVERE_TOXIC = "severe_toxic"
    OBSCENE = "obscene"
    THREAT = "threat"
    INSULT = "insult"
    IDENTITY_HATE = "identity_hate"

    @property
    def perspective_name(self) -> str:
        """The attribute of the Perspective API that this label answers."""
        return _PERSPECTIVE_NAMES[self]


LABELS: tuple[Label, ...] = tuple(Label)

_PERSPECTIVE_NAMES = {
    Label.TOXIC: "TOXICITY",
    Label.SEVERE_TOXIC: "SEVERE_TOXICITY",
    Label.OBSCENE: "PROFANITY",
    Label.THREAT: "THREAT",
    Label.INSULT: "INSULT",
    Label.IDENTITY_HATE: "IDENTITY_ATTACK",
}

PERSPECTIVE_LABELS: dict[str, Label] = {name: label for label, name in _PERSPECTIVE_NAMES.items()}
