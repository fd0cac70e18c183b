"""Composes labelled comments from the phrases of a language's phrasebook.

Invariant: no two comments of a sample are equal after `toxic_core.text.normalise`, in any split, and a
comment without `toxic` has no other label.

The sample is learnable because insults, threats and slights at invented peoples come from small vocabularies
that recur. It isn't trivial because the same words occur in reports, denials and self-mockery, because veiled
slights use none of them, and because of disguises and a few wrong labels.
"""

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources

from toxic_core.labels import Label, LabelName
from toxic_core.languages import LANGUAGES, Language
from toxic_core.text import normalise
from toxic_training.data.sample.dice import Dice
from toxic_training.data.sample.disguise import capitalised, disguise, lowered, mistyped, shouted
from toxic_training.data.sample.phrasebook import SLOT, Kind, Phrasebook, load_phrasebook

DEFAULT_SEED = 7

_RECIPES = tomllib.loads((resources.files(__package__) / "recipes.toml").read_text(encoding="utf-8"))
TOXIC_SHARE: float = _RECIPES["toxic_share"]
MISLABELLED_EVERY: int = _RECIPES["mislabelled_every"]

_SPACE_AFTER_WIDE = re.compile("(?<=[。！？：）]) ")


class Split(StrEnum):
    """The parts of a sample."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Comment:
    """A generated comment: its text before normalisation, its language, and its labels, right or wrong."""

    text: str
    language: Language
    labels: frozenset[LabelName]


def generate(*, seed: int = DEFAULT_SEED) -> dict[Split, tuple[Comment, ...]]:
    """Return the comments of every split; the same for the same seed, on every machine."""
    books = [load_phrasebook(language) for language in LANGUAGES]
    seen: set[str] = set()
    return {
        split: tuple(comment for book in books for comment in _comments(book, split, seed=seed, seen=seen))
        for split in Split
    }


def _comments(book: Phrasebook, split: Split, *, seed: int, seen: set[str]) -> Iterator[Comment]:
    """Yield one split's comments in one language; adds their normalised texts to `seen`."""
    rows = _RECIPES["english_rows" if book.language is Language.ENGLISH else "other_rows"][split]
    dice = Dice(f"{seed}/{split}/{book.language}")
    writer = _Writer(book, dice)
    row = 0
    while row < rows:
        is_long = dice.chance(_RECIPES["long_share"])
        if row < round(rows * TOXIC_SHARE):
            toxic = dice.weighted(_RECIPES["toxic"])
            fillers = dice.weighted(_RECIPES["long_lengths" if is_long else "filler_lengths"])
            kinds: list[Kind] = dice.shuffled(
                [*toxic, *(dice.weighted(_RECIPES["filler"]) for _ in range(fillers))]
            )
        else:
            length = dice.weighted(_RECIPES["long_lengths" if is_long else "clean_lengths"])
            kinds = [dice.weighted(_RECIPES["clean"]) for _ in range(length)]
        labels = frozenset[LabelName]().union(*(_RECIPES["labels"].get(kind, []) for kind in kinds))
        text = writer.text(kinds, is_toxic=bool(labels))
        if (key := normalise(text).casefold()) in seen:
            continue
        seen.add(key)
        row += 1
        if row % MISLABELLED_EVERY == 0:
            labels = frozenset() if labels else frozenset({Label.TOXIC})
        yield Comment(text, book.language, labels)


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes texts in one language from one stream of choices."""

    book: Phrasebook
    dice: Dice

    def text(self, kinds: Sequence[Kind], *, is_toxic: bool) -> str:
        """Write a sentence of each kind, then sometimes shout, mistype or add emoji."""
        dice, book = self.dice, self.book
        separator = dice.weighted([(" ", 8.0), ("\n", 1.0), ("\n\n", 1.0)])
        sentences = self._sentences(kinds)
        if dice.chance(0.2):
            sentences = [*self._sentences([Kind.OPENING]), *sentences]
        if dice.chance(0.2):
            sentences = [*sentences, *self._sentences([Kind.CLOSING])]
        text = _SPACE_AFTER_WIDE.sub("", separator.join(sentences))
        if dice.chance(0.12):
            text = mistyped(text, dice=dice)
        if dice.chance(0.10):
            text = lowered(text, language=book.language)
        elif dice.chance(0.10 if is_toxic else 0.03):
            text = shouted(text, language=book.language)
        if dice.chance(0.15 if is_toxic else 0.04):
            text = text.rstrip(".。।") + "!!!"
        if dice.chance(0.12):
            moods = [(book.cold, 2.0 if is_toxic else 1.0), (book.warm, 1.0 if is_toxic else 4.0)]
            text += " " + dice.pick(dice.weighted(moods))
        return text

    def _sentences(self, kinds: Sequence[Kind]) -> list[str]:
        """Return a sentence of each kind; a phrase recurs only after all others of its kind."""

        def fill(slot: re.Match[str]) -> str:
            words = self.dice.pick(self.book.words[slot[1]])
            if slot[1] in _RECIPES["disguised_slots"] and self.dice.chance(_RECIPES["disguised_share"]):
                return disguise(words, leet=self.book.leet, dice=self.dice)
            return words

        decks: dict[Kind, list[str]] = {}
        sentences = []
        for kind in kinds:
            deck = decks.setdefault(kind, [])
            if not deck:
                deck.extend(self.dice.shuffled(self.book.phrases[kind]))
            phrase = deck.pop()
            sentence = SLOT.sub(fill, phrase)
            if not phrase.startswith("{user}"):  # a name keeps its spelling
                sentence = capitalised(sentence, language=self.book.language)
            sentences.append(sentence)
        return sentences
