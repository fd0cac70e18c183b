"""The text normalisation of training and serving, by version.

Version 1 folds compatibility forms and removes what can't be seen. Version 2 also removes markup and undoes
disguises; see `toxic_core.undisguise`.

Invariant: any change of a version's results is a new version. `contract.json` records a model's, so a model
never gets text that was normalised differently from its training text. Every version is idempotent, and the
same texts are empty in all of them.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from toxic_core.undisguise import places, stream_safe, undisguise

NORMALISATION_VERSION = 2
"""The version that new models are trained with."""

# Without "Cn": the unassigned code points differ between Python versions.
_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Co", "Cs"})
# Invisible letters, marks and symbols: Unicode's Default_Ignorable_Code_Point (UAX #44) beyond the categories
# above, and the blank Braille pattern.
_INVISIBLE_RANGES = (
    (0x034F, 0x034F),  # combining grapheme joiner
    (0x115F, 0x1160),  # Hangul fillers, the folded forms of U+3164 and U+FFA0
    (0x17B4, 0x17B5),  # Khmer inherent vowels
    (0x180B, 0x180F),  # Mongolian variation selectors
    (0x2065, 0x2065),
    (0x2800, 0x2800),
    (0xFE00, 0xFE0F),  # variation selectors
    (0xFFF0, 0xFFF8),
    (0xE0000, 0xE0FFF),  # tags, more variation selectors
)
_INVISIBLE = frozenset(chr(c) for first, last in _INVISIBLE_RANGES for c in range(first, last + 1))
_WHITESPACE = re.compile(r"\s+")
_WORD = re.compile(r"\S+")


def normaliser(version: int) -> Callable[[str], str]:
    """Return the function that normalises a text by `version`, one of `NORMALISATION_VERSIONS`."""
    return _NORMALISERS[version]


def is_blank(text: str) -> bool:
    """Return whether `text` has no visible character."""
    return not any(map(_fold, dict.fromkeys(text)))


def _fold(text: str) -> str:
    """Return `text` with compatibility forms folded, invisible characters removed and single spaces.

    Unicode NFKC (UAX #15) folds full-width and "mathematical" letters to plain ones. Both these letters and
    invisible characters are used to evade filters. Case and punctuation carry meaning, so they are kept. The
    result is empty if the text has no visible character.
    """
    folded = unicodedata.normalize("NFKC", _WHITESPACE.sub(" ", text))
    if folded.isprintable() and _INVISIBLE.isdisjoint(folded):  # a tenth of the time, for most texts
        visible = folded
    else:
        visible = "".join(
            c for c in folded if c not in _INVISIBLE and unicodedata.category(c) not in _INVISIBLE_CATEGORIES
        )
    # A second pass, because removing a character can join a letter and its accent.
    return _WHITESPACE.sub(" ", unicodedata.normalize("NFKC", visible)).strip()


def _plain(text: str) -> str:
    # A text of nothing but markup or marks is read as it is.
    return undisguise(text) or _fold(stream_safe(text))


_NORMALISERS = {1: _fold, 2: _plain}
NORMALISATION_VERSIONS = frozenset(_NORMALISERS)


def normalise(text: str, version: int = NORMALISATION_VERSION) -> str:
    """Return `text` normalised by `version`; empty if it has no visible character."""
    return _NORMALISERS[version](text)


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text.

    Attributes:
        begin: index of its first character in the text, in code points.
        end: index after its last character.
        normalised: its normalised form; empty if it has no visible character.
    """

    begin: int
    end: int
    normalised: str


def words(text: str, version: int = NORMALISATION_VERSION) -> list[Word]:
    """Return the words of a text in order, with their positions and normalised forms.

    The visible words joined by single spaces equal the normalised text.
    """
    plain, (begins, ends) = places(text) if version > 1 else ("", ((), ()))
    if plain:
        found = (match.span() for match in _WORD.finditer(plain))
        return [Word(int(begins[start]), int(ends[stop - 1]), plain[start:stop]) for start, stop in found]
    # No character composes with a space, so each word can be folded by itself.
    return [Word(m.start(), m.end(), _fold(m.group())) for m in _WORD.finditer(text)]
