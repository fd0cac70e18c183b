"""One normalisation for training and serving.

Invariant: `normalise` is idempotent, and any change of what it returns raises `NORMALISATION_VERSION`, which
`contract.json` records: a model is never served text that was cleaned differently from its training text.
"""

import re
import unicodedata
from dataclasses import dataclass

NORMALISATION_VERSION = 1

# Not "Cn": which code points are unassigned differs between Python versions.
_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Co", "Cs"})
# Letters, marks and symbols that nevertheless show nothing: Unicode's Default_Ignorable_Code_Point (UAX #44)
# as far as the categories don't cover it, and the blank Braille pattern.
_INVISIBLE_RANGES = (
    (0x034F, 0x034F),  # combining grapheme joiner
    (0x115F, 0x1160),  # Hangul fillers, which U+3164 and U+FFA0 fold to
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


def normalise(text: str) -> str:
    """Return `text` as models see it: compatibility forms folded, invisible characters gone, spaces single.

    Unicode NFKC (UAX #15) folds full-width and "mathematical" letters to plain ones, and invisible
    characters are removed, because both serve to slip words past filters. Case and punctuation carry
    meaning here and stay. The result is empty where the text holds nothing visible.
    """
    folded = unicodedata.normalize("NFKC", _WHITESPACE.sub(" ", text))
    visible = "".join(
        c for c in folded if c not in _INVISIBLE and unicodedata.category(c) not in _INVISIBLE_CATEGORIES
    )
    # Removing a character can bring a letter and its accent together, hence the second pass.
    return _WHITESPACE.sub(" ", unicodedata.normalize("NFKC", visible)).strip()


@dataclass(frozen=True, slots=True)
class Word:
    """What stands between white space.

    Attributes:
        begin: its first character in the text, counted in code points.
        end: one past its last character.
        normalised: as models see it; empty where it shows nothing.
    """

    begin: int
    end: int
    normalised: str


def words(text: str) -> list[Word]:
    """Return a text's words, in order: where each stands in it, and what `normalise` makes of it.

    No character composes with a space, so normalising keeps to white space: joined by single spaces, the
    words that show something are `normalise(text)`.
    """
    return [Word(m.start(), m.end(), normalise(m.group())) for m in _WORD.finditer(text)]
