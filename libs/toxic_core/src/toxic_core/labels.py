"""Labels: the known ones with their facts, and `LABELS`, the ones that training uses.

A served model's labels are those of its contract, in the order of its output columns; serving and the
registry accept any valid names.

To train on another label, add it to `KNOWN_LABELS` if it is missing, append its name to `LABELS`, give the
training data a column of that name, and bound its figures in the registry's gate.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final

from pydantic import StringConstraints

LabelName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
"""A label's name, which is also the name of its column in tables."""


class Label(StrEnum):
    """Names of the labels of the Jigsaw toxic comment data, as its columns are called."""

    TOXIC = "toxic"
    SEVERE_TOXIC = "severe_toxic"
    OBSCENE = "obscene"
    THREAT = "threat"
    INSULT = "insult"
    IDENTITY_HATE = "identity_hate"


@dataclass(frozen=True, slots=True)
class KnownLabel:
    """The facts of a label.

    Attributes:
        name: its name.
        description: what a comment with this label is or contains.
        perspective: the attribute of the Perspective API that this label answers.
    """

    name: LabelName
    description: str
    perspective: str


KNOWN_LABELS: Final = (
    KnownLabel("toxic", "rude, disrespectful or likely to make people leave a discussion", "TOXICITY"),
    KnownLabel("severe_toxic", "very hateful, aggressive or disrespectful", "SEVERE_TOXICITY"),
    KnownLabel("obscene", "swear words, curse words or other obscene language", "PROFANITY"),
    KnownLabel("threat", "an intention to inflict pain, injury or violence", "THREAT"),
    KnownLabel("insult", "an insulting or inflammatory comment about a person or a group", "INSULT"),
    KnownLabel("identity_hate", "hate of people because of their identity", "IDENTITY_ATTACK"),
    KnownLabel("sexual_explicit", "references to sexual acts or body parts", "SEXUALLY_EXPLICIT"),
)

LABELS: Final[tuple[LabelName, ...]] = (
    "toxic",
    "severe_toxic",
    "obscene",
    "threat",
    "insult",
    "identity_hate",
)
"""The labels that training uses, in the order of a model's output columns; the first is the main one."""

_PERSPECTIVE = {label.name: label.perspective for label in KNOWN_LABELS}


def perspective_attribute(label: LabelName) -> str:
    """Return the Perspective API's attribute for `label`: its name in upper case if none is known."""
    return _PERSPECTIVE.get(label, label.upper())
