"""The text normalisation of training and serving.

Invariant: `normalise` is idempotent, and any change of its results increments `NORMALISATION_VERSION`, which
`contract.json` records. So a model never gets text that was normalised differently from its training text.
"""

import re
import unicodedata
from dataclasses import dataclass

NORMALISATION_VERSION = 1

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


def normalise(text: str) -> str:
    """Return `text` with compatibility forms folded, invisible characters removed and single spaces.

    Unicode NFKC (UAX #15) folds full-width and "mathematical" letters to plain ones. Both these letters and
    invisible characters are used to evade filters. Case and punctuation carry meaning, so they are kept. The
    result is empty if the text has no visible character.
    """
    folded = unicodedata.normalize("NFKC", _WHITESPACE.sub(" ", text))
    visible = "".join(
        c for c in folded if c not in _INVISIBLE and unicodedata.category(c) not in _INVISIBLE_CATEGORIES
    )
    # A second pass, because removing a character can join a letter and its accent.
    return _WHITESPACE.sub(" ", unicodedata.normalize("NFKC", visible)).strip()


@dataclass(frozen=True, slots=True)
class Word:
    """A word: the characters between two white spaces.

    Attributes:
        begin: index of its first character in the text, in code points.
        end: index after its last character.
        normalised: its normalised form; empty if it has no visible character.
    """

    begin: int
    end: int
    normalised: str


def words(text: str) -> list[Word]:
    """Return a text's words in order, with their positions and normalised forms.

    No character composes with a space, so the visible words joined by single spaces equal `normalise(text)`.
    """
    return [Word(m.start(), m.end(), normalise(m.group())) for m in _WORD.finditer(text)]
