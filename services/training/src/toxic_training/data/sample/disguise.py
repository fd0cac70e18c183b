"""Disguises of rude words against filters, and changes of case and spelling.

A person can still read a disguised word. `toxic_core.text.normalise` undoes most disguises, and keeps stars
that replace letters.
"""

from collections.abc import Callable, Mapping

from toxic_core.languages import Language
from toxic_training.data.sample.dice import Dice

_ZERO_WIDTH_SPACE = "\u200b"
_DOTLESS_I = "\u0131"
_FULL_WIDTH_OFFSET = 0xFEE0


spaced = " ".join
"""`fool` → `f o o l`."""
dotted = ".".join
"""`fool` → `f.o.o.l`."""


def starred(word: str) -> str:
    """`fool` → `f**l`."""
    return word[0] + "*" * (len(word) - 2) + word[-1] if len(word) > 2 else word  # noqa: PLR2004


def split_invisibly(word: str) -> str:
    """Insert a zero-width space into the middle of `word`."""
    return word[: len(word) // 2] + _ZERO_WIDTH_SPACE + word[len(word) // 2 :]


def full_width(word: str) -> str:
    """Replace the ASCII letters of `word` by their full-width forms."""
    return "".join(chr(ord(c) + _FULL_WIDTH_OFFSET) if "!" <= c <= "~" else c for c in word)


def stretched(word: str) -> str:
    """`fool` → `foooooool`."""
    middle = len(word) // 2
    return word[:middle] + word[middle] * 4 + word[middle:]


def disguise(words: str, *, leet: Mapping[str, str], dice: Dice) -> str:
    """Return `words` with the last word disguised in one way."""
    *before, last = words.split(" ")

    def in_digits(word: str) -> str:
        return "".join(leet.get(letter, letter) for letter in word)

    ways: list[tuple[Callable[[str], str], float]] = [
        (in_digits, 4),
        (spaced, 2),
        (dotted, 1),
        (starred, 3),
        (stretched, 3),
        (split_invisibly, 1),
        (full_width, 1),
    ]
    return " ".join([*before, dice.weighted(ways)(last)])


def shouted(text: str, *, language: Language) -> str:
    """Return `text` in capitals; in Turkish i becomes the dotted İ."""
    return (text.replace("i", "İ") if language is Language.TURKISH else text).upper()


def lowered(text: str, *, language: Language) -> str:
    """Return `text` in lower case; in Turkish I becomes a dotless i."""
    return (text.replace("İ", "i").replace("I", _DOTLESS_I) if language is Language.TURKISH else text).lower()


def capitalised(text: str, *, language: Language) -> str:
    """Return `text` with a capital first letter."""
    return shouted(text[:1], language=language) + text[1:]


def mistyped(text: str, *, dice: Dice) -> str:
    """Return `text` with two neighbouring letters of a word swapped."""
    at = dice.below(max(1, len(text) - 1))
    pair = text[at : at + 2]
    return text[:at] + pair[::-1] + text[at + 2 :] if pair.isalpha() else text
