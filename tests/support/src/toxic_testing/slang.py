"""A register of comments that no model knows: only corrections explain the words that decide.

Invariant: a text that is corrected isn't in the traffic, and neither is the comment that it is made from.
"""

import csv
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HARSH = ("frelk", "snurp", "dorbit", "klimp")
MILD = ("brimly", "velto", "quorin", "mallo")
"""Words that occur nowhere else, so that only corrections tell which of them insult."""

CORRECTED = 100
"""Comments of which each becomes two corrections, one with harsh words and one with mild ones."""

HELD_OUT = 100
"""Comments of which each becomes two texts to measure."""

SPOKEN_EVERY = 10
"""One text of the traffic of this many has harsh words, and one mild ones; training expects so many toxic."""


@dataclass(frozen=True, slots=True)
class Comment:
    """A text, its language, and whether it insults."""

    text: str
    language: str
    is_toxic: bool


@dataclass(frozen=True, slots=True)
class Register:
    """Comments of a register.

    Attributes:
        corrections: what moderators judged, half of it toxic.
        traffic: the sample's harmless comments, and the register among them.
        held_out: of the register, half of it toxic, for an AUC.
    """

    corrections: Sequence[Comment]
    traffic: Sequence[Comment]
    held_out: Sequence[Comment]


def read_register(sample: Path) -> Register:
    """Return the register over the harmless test comments of the sample, in all of its languages."""
    with (sample / "test_labels.csv").open(encoding="utf-8", newline="") as labels:
        harmless = {row["id"] for row in csv.DictReader(labels) if row["toxic"] == "0"}
    with (sample / "test.csv").open(encoding="utf-8", newline="") as tests:
        plain = [(row["content"], row["lang"]) for row in csv.DictReader(tests) if row["id"] in harmless]
    dice = random.Random(7)  # noqa: S311 - no secrets
    dice.shuffle(plain)
    corrected, others = plain[:CORRECTED], plain[CORRECTED:]
    traffic = []
    for number, (text, language) in enumerate(others):
        turn = number % SPOKEN_EVERY
        traffic.append(
            Comment(text, language, is_toxic=False)
            if turn > 1
            else _speak(text, language, dice, is_toxic=turn == 0)
        )
    return Register(
        corrections=[
            _speak(*each, dice, is_toxic=is_toxic) for each in corrected for is_toxic in (True, False)
        ],
        traffic=traffic,
        held_out=[
            _speak(*each, dice, is_toxic=is_toxic) for each in others[:HELD_OUT] for is_toxic in (True, False)
        ],
    )


def _speak(text: str, language: str, dice: random.Random, *, is_toxic: bool) -> Comment:
    words = dice.sample(HARSH if is_toxic else MILD, 2)
    return Comment(f"{' '.join(words).capitalize()}! {text}", language, is_toxic)
