"""The phrases of each language, from packaged TOML files: `phrases/<code>.toml`.

Invariant: a phrasebook that loads can fill every slot of every phrase, and has phrases of every kind.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources

from toxic_core.errors import InvalidDataError
from toxic_core.languages import Language

SLOT = re.compile(r"\{(\w+)\}")

_FOLDER = resources.files(__package__) / "phrases"


class Kind(StrEnum):
    """The purpose of a phrase in a comment, by its key in the TOML files."""

    OPENING = "opening"
    CLOSING = "closing"
    NEUTRAL = "neutral"
    PRAISE = "praise"
    CRITICISM = "criticism"
    REPORTED = "reported"
    NEGATED = "negated"
    FIGURATIVE = "figurative"
    GROUP_NEUTRAL = "group_neutral"
    HOSTILE = "hostile"
    VEILED = "veiled"
    INSULT = "insult"
    OBSCENE = "obscene"
    THREAT = "threat"
    IDENTITY_HATE = "identity_hate"
    SEVERE = "severe"


@dataclass(frozen=True, slots=True)
class Phrasebook:
    """The phrases of one language, templates with `{slot}`s, and the words for each slot.

    `example` is a friendly sentence, which new bundles use as a warm-up text; `warm` and `cold` are emoji of
    friendly and of toxic comments; `leet` has digits that stand for letters.
    """

    language: Language
    example: str
    phrases: Mapping[Kind, tuple[str, ...]]
    words: Mapping[str, tuple[str, ...]]
    warm: tuple[str, ...]
    cold: tuple[str, ...]
    leet: Mapping[str, str]


def load_phrasebook(language: Language) -> Phrasebook:
    """Read the phrasebook of `language` and check it."""
    common, own = (
        tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8")) for name in ("common", language)
    )
    book = Phrasebook(
        language=language,
        example=own["example"],
        phrases={Kind(name): tuple(phrases) for name, phrases in own["phrases"].items()},
        words={name: tuple(words) for name, words in {**common["words"], **own["words"]}.items()},
        warm=tuple(common["decorations"]["warm"]),
        cold=tuple(common["decorations"]["cold"]),
        leet={letter: str(digit) for letter, digit in common["leet"].items()},
    )
    check_phrasebook(book)
    return book


def check_phrasebook(book: Phrasebook) -> None:
    """Raise InvalidDataError if a kind has no phrase, or if a phrase has a slot without words."""
    if missing := [kind for kind in Kind if not book.phrases.get(kind)]:
        raise InvalidDataError(f"The {book.language} phrasebook has no phrase of: {', '.join(missing)}.")
    slots = {slot for phrases in book.phrases.values() for phrase in phrases for slot in SLOT.findall(phrase)}
    if unfilled := sorted(slot for slot in slots if not book.words.get(slot)):
        raise InvalidDataError(f"The {book.language} phrasebook has no words for: {', '.join(unfilled)}.")
