"""Characters as arrays of code points: the kinds of each, its look-alikes, and runs.

The tables behind the rules of `toxic_core.undisguise`.
"""

import re
import sys
import unicodedata
from dataclasses import dataclass, field
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Codes = NDArray[np.uint32]
Indices = NDArray[np.int64]
LAST_LETTER = 0xFFFF
INVISIBLE = (
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u0600-\u0605\u061c\u0640\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160"
    "\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ud800-\udfff\ue000-\uf8ff"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U0010ffff"
)
"""Control, format, private and ignorable characters, fillers, and the tatweel, which stretches a word."""
ACCENTS = "\u0300-\u034e\u0350-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
"""Marks of Latin, Cyrillic and Greek letters; one that belongs to a spelling composes with its letter."""
LATIN = "A-Za-z\xaa\xba\xc0-\xd6\xd8-\xf6\xf8-\u024f\u1e00-\u1eff"
CYRILLIC = "\u0400-\u0481\u048a-\u052f"
GREEK = "\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u03ff\u1f00-\u1fff"
_ARABIC = "\u0620-\u063f\u0641-\u064a\u066e-\u06d3"
JOINTS = ".\\-_*·•/|~+"
_LEET = "013457@$!", "oieastasi"
_TO_LATIN = (
    "авеікмнорстухјѕԁһԛԝґАВЕІКМНОРСТУХЈЅԌԚԜαβεικνορτυχγΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "abeikmhopctyxjsdhqwrABEIKMHOPCTYXJSGQWaBeikvoptuxyABEZHIKMNOPTYX",
)
_TO_CYRILLIC = "abceikmhopctyxjsABCEIKMHOPTXYJS", "авсеікмнорстухјѕАВСЕІКМНОРТХУЈЅ"
"""Letters of three scripts that look alike (Unicode's confusables, UTS #39)."""
FANCY = "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢɑɡ\ufdfa\ufdfb", "abcdefghijklmnoprstuvwyzagصج"
"""Letters without a compatibility form, and two honorifics whose form has up to 18 letters."""
_BOXED = 0x1F130, 0x1F150, 0x1F170
"""The first of 26 capitals in squares or circles without a compatibility form."""


class Kind:
    """What a character is, as one bit each."""

    INVISIBLE: Final = 1 << 0
    ACCENT: Final = 1 << 1
    MARK: Final = 1 << 2
    LATIN: Final = 1 << 3
    CYRILLIC: Final = 1 << 4
    GREEK: Final = 1 << 5
    ARABIC: Final = 1 << 6
    ALPHA: Final = 1 << 7
    WORD: Final = 1 << 8
    SPACE: Final = 1 << 9
    UPPER: Final = 1 << 10
    LOWER: Final = 1 << 11
    LEET: Final = 1 << 12
    DIGIT: Final = 1 << 13
    JOINT: Final = 1 << 14
    FANCY: Final = 1 << 15
    ADDRESS: Final = 1 << 16
    REFERENCE: Final = 1 << 17

    SCRIPTED: Final = LATIN | CYRILLIC | GREEK
    ASCII: Final = UPPER | LOWER


@dataclass(slots=True)
class Characters:
    """The code points of a text, and the index of each in the text that the rules began with."""

    codes: Codes
    index: Indices
    kinds: NDArray[np.uint32] = field(init=False)

    def __post_init__(self) -> None:
        self.kinds = _kinds()[self.codes]

    @property
    def has(self) -> int:
        """The kinds of all characters together."""
        return int(np.bitwise_or.reduce(self.kinds, initial=0))

    def are(self, kind: int) -> Bools:
        """Return for each character whether it is of one of the kinds in `kind`."""
        found: Bools = (self.kinds & np.uint32(kind)) != 0
        return found

    def write(self, where: Bools, codes: Codes) -> None:
        """Replace the characters at `where`; their kinds follow."""
        self.codes[where] = codes
        self.kinds[where] = _kinds()[codes]

    def drop(self, where: Bools) -> None:
        """Delete the characters at `where`."""
        kept = ~where
        self.codes, self.index, self.kinds = self.codes[kept], self.index[kept], self.kinds[kept]


def before(values: Bools, by: int = 1) -> Bools:
    """Return for each place the value `by` places earlier; False at the start."""
    shifted = np.zeros_like(values)
    shifted[by:] = values[: max(0, len(values) - by)]
    return shifted


def after(values: Bools, by: int = 1) -> Bools:
    """Return for each place the value `by` places later; False at the end."""
    shifted = np.zeros_like(values)
    shifted[: max(0, len(values) - by)] = values[by:]
    return shifted


def runs_of(values: Bools) -> tuple[Indices, Indices]:
    """Return the first place of each run of True, and the place after it."""
    edges = np.flatnonzero(np.diff(values.astype(np.int8), prepend=0, append=0))
    return edges[::2], edges[1::2]


def cumulated(values: Bools) -> NDArray[np.int32]:
    """Return how many values before each place are True, and at the end how many of all."""
    total = np.zeros(len(values) + 1, np.int32)
    np.cumsum(values, out=total[1:])
    return total


def count_in(values: Bools, starts: Indices, stops: Indices) -> Indices:
    """Return how many values are True in each run."""
    total = cumulated(values)
    return np.asarray(total[stops] - total[starts])


def spread(runs: Bools, starts: Indices, stops: Indices, length: int) -> Bools:
    """Return True at every place of the chosen runs."""
    edges = np.zeros(length + 1, np.int8)
    edges[starts[runs]] += 1
    edges[stops[runs]] -= 1
    return np.cumsum(edges[:-1], dtype=np.int8) > 0


def _codes(characters: str) -> Codes:
    return np.array([ord(c) for c in characters], np.uint32)


def _table(source: str, target: str, *, size: int) -> Codes:
    table = np.zeros(size, np.uint32)
    table[_codes(source)] = _codes(target)
    return table


@cache
def fancy_letters() -> Codes:
    """Return the plain form of each letter of the kind FANCY."""
    capitals = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    boxed = "".join(chr(first + index) for first in _BOXED for index in range(len(capitals)))
    return _table(FANCY[0] + boxed, FANCY[1] + capitals * len(_BOXED), size=_BOXED[-1] + len(capitals))


@cache
def leet_letters() -> Codes:
    """Return the letter that each character of the kind LEET replaces."""
    return _table(*_LEET, size=128)


@cache
def look_alikes() -> tuple[Codes, Codes]:
    """Return the Latin and the Cyrillic form of each letter; 0 if it has none."""
    tables = []
    for script, pairs in ((LATIN, _TO_LATIN), (CYRILLIC, _TO_CYRILLIC)):
        own = "".join(re.findall(f"[{script}]", _characters(LAST_LETTER)))
        tables.append(_table(own + pairs[0], own + pairs[1], size=LAST_LETTER + 1))
    return tables[0], tables[1]


def _characters(last: int) -> str:
    return "".join(map(chr, range(last + 1)))


@cache
def _kinds() -> NDArray[np.uint32]:
    """Return the kind of every code point, uint32 [1,114,112]."""
    kinds = np.zeros(sys.maxunicode + 1, np.uint32)
    first = _characters(0x1FFFF)  # the others are Han, invisible or unassigned
    for kind, ranges in (
        (Kind.INVISIBLE, INVISIBLE),
        (Kind.ACCENT, ACCENTS),
        (Kind.LATIN, LATIN),
        (Kind.CYRILLIC, CYRILLIC),
        (Kind.GREEK, GREEK),
        (Kind.ARABIC, _ARABIC),
        (Kind.UPPER, "A-Z"),
        (Kind.LOWER, "a-z"),
        (Kind.DIGIT, "0-9"),
        (Kind.LEET, re.escape(_LEET[0])),
        (Kind.JOINT, JOINTS),
        (Kind.ADDRESS, ".:/\\-"),
        (Kind.REFERENCE, "#&_"),
        (Kind.FANCY, FANCY[0] + "".join(f"{chr(start)}-{chr(start + 25)}" for start in _BOXED)),
    ):
        for match in re.finditer(f"[{ranges}]+", first):
            kinds[slice(*match.span())] |= np.uint32(kind)
    for kind, is_kind in (
        (Kind.ALPHA, str.isalpha),
        (Kind.WORD, str.isalnum),
        (Kind.SPACE, str.isspace),
        (Kind.MARK, lambda character: unicodedata.category(character)[0] == "M"),
    ):
        kinds[np.flatnonzero(np.fromiter(map(is_kind, first), np.bool_, len(first)))] |= np.uint32(kind)
    kinds[0x20000:0x323B0] = Kind.ALPHA | Kind.WORD
    kinds[0xE0000:0xE1000] = kinds[0xF0000:] = Kind.INVISIBLE
    return kinds
