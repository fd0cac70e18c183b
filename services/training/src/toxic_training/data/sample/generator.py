"""Comments with labels, composed of the phrasebooks' phrases by recipes.

Invariant: no two comments of a sample are the same after `toxic_core.text.normalise`, in whatever split, and
a comment without `toxic` carries no other label.

What makes it learnable: insults, threats and slights at invented peoples come from small vocabularies that
recur. What keeps it from being trivial: the same words in reports, denials and self-mockery, veiled slights
that use none of them, disguises, and a few wrong labels.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from toxic_core.labels import Label, LabelName
from toxic_core.languages import LANGUAGES, Language
from toxic_core.text import normalise
from toxic_training.data.sample.dice import Dice
from toxic_training.data.sample.disguise import capitalised, disguise, lowered, mistyped, shouted
from toxic_training.data.sample.phrasebook import SLOT, Kind, Phrasebook, load_phrasebook

DEFAULT_SEED = 7
TOXIC_SHARE = 0.28
"""Share of toxic comments in each language and split, before some get a wrong label."""
MISLABELLED_EVERY = 50
"""One comment in so many has a wrong `toxic`, in each language and split."""

_DISGUISED_SLOTS = frozenset({"insult", "insult_np", "insult_plural", "rude"})
_DISGUISED_SHARE = 0.12
_LONG_SHARE = 0.04

_LABELS: dict[Kind, frozenset[LabelName]] = {
    Kind.HOSTILE: frozenset({Label.TOXIC}),
    Kind.VEILED: frozenset({Label.TOXIC}),
    Kind.INSULT: frozenset({Label.TOXIC, Label.INSULT}),
    Kind.OBSCENE: frozenset({Label.TOXIC, Label.OBSCENE}),
    Kind.THREAT: frozenset({Label.TOXIC, Label.THREAT}),
    Kind.IDENTITY_HATE: frozenset({Label.TOXIC, Label.IDENTITY_HATE}),
    Kind.SEVERE: frozenset({Label.TOXIC, Label.SEVERE_TOXIC, Label.OBSCENE, Label.INSULT}),
}

_TOXIC_RECIPES: list[tuple[tuple[Kind, ...], float]] = [
    ((Kind.HOSTILE,), 11),
    ((Kind.VEILED,), 8),
    ((Kind.INSULT,), 20),
    ((Kind.INSULT, Kind.HOSTILE), 11),
    ((Kind.OBSCENE,), 8),
    ((Kind.OBSCENE, Kind.INSULT), 12),
    ((Kind.THREAT,), 6),
    ((Kind.THREAT, Kind.INSULT), 5),
    ((Kind.IDENTITY_HATE,), 6),
    ((Kind.IDENTITY_HATE, Kind.INSULT), 6),
    ((Kind.SEVERE,), 7),
    ((Kind.SEVERE, Kind.INSULT, Kind.THREAT), 2),
]

_CLEAN_KINDS: list[tuple[Kind, float]] = [
    (Kind.NEUTRAL, 48),
    (Kind.PRAISE, 12),
    (Kind.CRITICISM, 14),
    (Kind.REPORTED, 6),
    (Kind.NEGATED, 4),
    (Kind.FIGURATIVE, 6),
    (Kind.GROUP_NEUTRAL, 5),
]
_FILLER_KINDS: list[tuple[Kind, float]] = [(Kind.NEUTRAL, 5), (Kind.CRITICISM, 3), (Kind.PRAISE, 1)]
_CLEAN_LENGTHS = [(1, 4.0), (2, 3.0), (3, 2.0), (4, 1.0)]
_FILLER_LENGTHS = [(0, 5.0), (1, 3.0), (2, 2.0), (3, 1.0)]
_LONG_LENGTHS = [(8, 2.0), (11, 2.0), (14, 1.0)]


class Split(StrEnum):
    """The parts of a sample."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


_ENGLISH_ROWS = {Split.TRAIN: 500, Split.VALIDATION: 70, Split.TEST: 120}
_OTHER_ROWS = {Split.TRAIN: 250, Split.VALIDATION: 55, Split.TEST: 80}


@dataclass(frozen=True, slots=True)
class Comment:
    """One generated comment.

    Attributes:
        text: as a user would have typed it, not normalised.
        language: it is written in.
        labels: those it carries, wrong ones included.
    """

    text: str
    language: Language
    labels: frozenset[LabelName]


def generate(*, seed: int = DEFAULT_SEED) -> dict[Split, tuple[Comment, ...]]:
    """Return the comments of every split; the same for the same seed, on every machine."""
    books = {language: load_phrasebook(language) for language in LANGUAGES}
    seen: set[str] = set()
    return {
        split: tuple(
            comment
            for language in LANGUAGES
            for comment in _comments(books[language], split=split, seed=seed, seen=seen)
        )
        for split in Split
    }


def _comments(book: Phrasebook, *, split: Split, seed: int, seen: set[str]) -> Iterator[Comment]:
    """Yield one split's comments in one language; adds them to `seen`, by their normalised text."""
    rows = (_ENGLISH_ROWS if book.language is Language.ENGLISH else _OTHER_ROWS)[split]
    dice = Dice(f"{seed}/{split}/{book.language}")
    writer = _Writer(book, dice)
    row = 0
    while row < rows:
        is_toxic = row < round(rows * TOXIC_SHARE)
        comment = writer.comment(_recipe(dice, is_toxic=is_toxic))
        if (key := normalise(comment.text).casefold()) in seen:
            continue
        seen.add(key)
        row += 1
        yield _mislabelled(comment) if row % MISLABELLED_EVERY == 0 else comment


def _recipe(dice: Dice, *, is_toxic: bool) -> list[Kind]:
    """Choose what a comment's sentences do."""
    is_long = dice.chance(_LONG_SHARE)
    if is_toxic:
        toxic = dice.weighted(_TOXIC_RECIPES)
        fillers = dice.weighted(_LONG_LENGTHS if is_long else _FILLER_LENGTHS)
        return dice.shuffled([*toxic, *(dice.weighted(_FILLER_KINDS) for _ in range(fillers))])
    length = dice.weighted(_LONG_LENGTHS if is_long else _CLEAN_LENGTHS)
    return [dice.weighted(_CLEAN_KINDS) for _ in range(length)]


def _mislabelled(comment: Comment) -> Comment:
    return replace(comment, labels=frozenset() if comment.labels else frozenset({Label.TOXIC}))


class _Writer:
    """Writes comments in one language from one stream of choices."""

    def __init__(self, book: Phrasebook, dice: Dice) -> None:
        self._book = book
        self._dice = dice

    def comment(self, kinds: Sequence[Kind]) -> Comment:
        """Write a comment with a sentence of each kind."""
        labels = frozenset[LabelName]().union(*(_LABELS.get(kind, frozenset()) for kind in kinds))
        text = self._dressed(self._layout(kinds), is_toxic=bool(labels))
        return Comment(text=text, language=self._book.language, labels=labels)

    def _layout(self, kinds: Sequence[Kind]) -> str:
        """Join a sentence for each kind, in one line or several, sometimes with greeting and farewell."""
        dice = self._dice
        separator = dice.weighted([(" ", 8.0), ("\n", 1.0), ("\n\n", 1.0)])
        sentences = self._sentences(kinds)
        if dice.chance(0.2):
            sentences = [*self._sentences([Kind.OPENING]), *sentences]
        if dice.chance(0.2):
            sentences = [*sentences, *self._sentences([Kind.CLOSING])]
        return separator.join(sentences)

    def _sentences(self, kinds: Sequence[Kind]) -> list[str]:
        """Return a sentence for each kind, no phrase twice while its kind has others."""
        decks: dict[Kind, list[str]] = {}
        sentences = []
        for kind in kinds:
            deck = decks.setdefault(kind, [])
            if not deck:
                deck.extend(self._dice.shuffled(self._book.phrases[kind]))
            sentences.append(self._sentence(deck.pop()))
        return sentences

    def _sentence(self, phrase: str) -> str:
        sentence = SLOT.sub(self._fill, phrase)
        # A name keeps its spelling.
        return (
            sentence if phrase.startswith("{user}") else capitalised(sentence, language=self._book.language)
        )

    def _fill(self, slot: re.Match[str]) -> str:
        words = self._dice.pick(self._book.words[slot[1]])
        if slot[1] in _DISGUISED_SLOTS and self._dice.chance(_DISGUISED_SHARE):
            return disguise(words, leet=self._book.leet, dice=self._dice)
        return words

    def _dressed(self, text: str, *, is_toxic: bool) -> str:
        """Return `text` in the manner of someone angry or not: shouting, slips, emoji."""
        dice, book = self._dice, self._book
        if dice.chance(0.12):
            text = mistyped(text, dice=dice)
        if dice.chance(0.10):
            text = lowered(text, language=book.language)
        elif dice.chance(0.10 if is_toxic else 0.03):
            text = shouted(text, language=book.language)
        if dice.chance(0.15 if is_toxic else 0.04):
            text = text.rstrip(".") + "!!!"
        if dice.chance(0.12):
            mood = dice.weighted(
                [(book.cold, 2.0 if is_toxic else 1.0), (book.warm, 1.0 if is_toxic else 4.0)]
            )
            text += " " + dice.pick(mood)
        return text
