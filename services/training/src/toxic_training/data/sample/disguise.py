"""Disguises of rude words against filters, and changes of case and spelling.

A person can still read a disguised word. `toxic_core.text.normalise` undoes most disguises, and keeps stars
that replace letters.
"""

import unicodedata
from collections.abc import Mapping

from toxic_core.languages import Language
from toxic_training.data.sample.dice import Dice

_ZERO_WIDTH_SPACE = "\u200b"
_DOTLESS_I = "\u0131"
_FULL_WIDTH_OFFSET = 0xFEE0


def letters(text: str) -> list[str]:
    """Return the characters of `text`, each with the marks after it: `मूर्ख` → `मू`, `र्`, `ख`."""
    found: list[str] = []
    for character in text:
        if found and unicodedata.category(character).startswith("M"):
            found[-1] += character
        else:
            found.append(character)
    return found


def spaced(word: str) -> str:
    """`fool` → `f o o l`."""
    return " ".join(letters(word))


def dotted(word: str) -> str:
    """`fool` → `f.o.o.l`."""
    return ".".join(letters(word))


def starred(word: str) -> str:
    """`fool` → `f**l`, `笨蛋` → `笨*`."""
    if not word:
        return word
    first, *others = letters(word)
    return first + "*" * max(len(others) - 1, 1) + "".join(others[1:][-1:])


def split_invisibly(word: str) -> str:
    """Insert a zero-width space into the middle of `word`."""
    parts = letters(word)
    return "".join([*parts[: len(parts) // 2], _ZERO_WIDTH_SPACE, *parts[len(parts) // 2 :]])


def full_width(word: str) -> str:
    """Replace the ASCII letters of `word` by their full-width forms."""
    return "".join(chr(ord(c) + _FULL_WIDTH_OFFSET) if "!" <= c <= "~" else c for c in word)


def stretched(word: str) -> str:
    """`fool` → `foooooool`."""
    parts = letters(word)
    middle = len(parts) // 2
    return "".join([*parts[:middle], parts[middle][0] * 4, *parts[middle:]])


def disguise(words: str, *, leet: Mapping[str, str], dice: Dice) -> str:
    """Return `words` with the last word disguised in one way that changes it."""
    *before, last = words.split(" ")
    ways = [
        ("".join(leet.get(letter, letter) for letter in last), 4),
        (spaced(last), 2),
        (dotted(last), 1),
        (starred(last), 3),
        (stretched(last), 3),
        (split_invisibly(last), 1),
        (full_width(last), 1),
    ]
    return " ".join([*before, dice.weighted([(word, weight) for word, weight in ways if word != last])])


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
    parts = letters(text)
    at = dice.below(max(1, len(parts) - 1))
    pair = parts[at : at + 2]
    if all(part[0].isalpha() for part in pair):
        parts[at : at + 2] = pair[::-1]
    return "".join(parts)
