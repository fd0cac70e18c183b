"""Normalisation version 2: version 1, with markup removed and disguises undone.

People hide insults from filters behind letters of another script that look alike, gaps between letters,
digits for letters, piles of accents. They also write like that for fun, so a model that merely learns that
disguises are toxic is wrong about "T h a n k   y o u". Here a disguised text becomes the plain one before
the model reads it.

A text is an array of code points, with an array of where each came from. A rule deletes characters, or
replaces some one by one, in a few operations on whole arrays, so the time is linear in the text's length,
whatever its characters are. Most texts need no rule; `_REASON` finds that out first.
"""

import re
import sys
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from html.entities import html5
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Codes = NDArray[np.uint32]
Indices = NDArray[np.int64]
Source = TypeVar("Source", Indices, None)
"""Where each character came from, begin and end, int64 [2, characters]; None if nobody asks."""

_ROUNDS = 4
"""Most rounds over the rules. One rule may uncover work for an earlier one: an entity inside an entity."""
_LONG = 2000
"""Characters from which applying the rules takes no longer than looking for a reason to."""
_MOST_MARKS = 30
"""Marks after one letter, as in the Stream-Safe Text Format of UAX #15: sorting them takes quadratic time."""
_FEWEST_SPACED, _FEWEST_JOINED = 4, 3
"""Letters with spaces, or with signs between them, that are one word."""
_WIDEST_GAP = 8
_SHORT_CODE = 4
_SHORTEST_LEET, _LONGEST_LEET = 3, 40
_MIXED_CASE = 4
_LAST_LETTER = 0xFFFF

_INVISIBLE = (
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u0600-\u0605\u061c\u0640\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160"
    "\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ud800-\udfff\ue000-\uf8ff"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U0010ffff"
)
"""Control, format, private and ignorable characters, fillers, and the tatweel, which stretches a word."""
_ACCENTS = "\u0300-\u034e\u0350-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
"""Marks of Latin, Cyrillic and Greek letters; one that belongs to a spelling composes with its letter."""
_LATIN = "A-Za-z\xaa\xba\xc0-\xd6\xd8-\xf6\xf8-\u024f\u1e00-\u1eff"
_CYRILLIC = "\u0400-\u0481\u048a-\u052f"
_GREEK = "\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u03ff\u1f00-\u1fff"
_ARABIC = "\u0620-\u063f\u0641-\u064a\u066e-\u06d3"
_JOINTS = ".\\-_*·•/|~+"
_LEET = "013457@$!", "oieastasi"
_TO_LATIN = (
    "авеікмнорстухјѕԁһԛԝґАВЕІКМНОРСТУХЈЅԌԚԜαβεικνορτυχγΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "abeikmhopctyxjsdhqwrABEIKMHOPCTYXJSGQWaBeikvoptuxyABEZHIKMNOPTYX",
)
_TO_CYRILLIC = "abceikmhopctyxjsABCEIKMHOPTXYJS", "авсеікмнорстухјѕАВСЕІКМНОРТХУЈЅ"
"""Letters of three scripts that look alike (Unicode's confusables, UTS #39)."""
_FANCY = "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢɑɡ\ufdfa\ufdfb", "abcdefghijklmnoprstuvwyzagصج"
"""Letters without a compatibility form, and two honorifics whose form has up to 18 letters."""
_BOXED = 0x1F130, 0x1F150, 0x1F170
"""The first of 26 capitals in squares or circles without a compatibility form."""

_BLOCKS = (
    "address article blockquote body br center dd div dl dt footer h1 h2 h3 h4 h5 h6 head header hr html img "
    "li main nav ol option p pre script section style table tbody td tfoot th thead title tr ul"
)
_INLINES = "a abbr b big code del em font i ins mark s small span strike strong sub sup tt u"
_TAGS = dict.fromkeys(["!--", *_BLOCKS.split()], " ") | dict.fromkeys(_INLINES.split(), "")
"""What a tag becomes: a space where a browser shows a gap."""
_CODES = dict.fromkeys(
    [
        "b",
        "center",
        "code",
        "color",
        "font",
        "i",
        "img",
        "list",
        "quote",
        "s",
        "size",
        "spoiler",
        "strike",
        "u",
        "url",
    ],
    "",
)
_TAG = re.compile(r"<(?:/?+([A-Za-z][A-Za-z0-9]{0,9})\b[^<>]{0,300}+|(!--)[^<>]{0,300}?--)>")
_CODE = re.compile(r"\[/?+([A-Za-z]{1,7})(?:=[^\[\]]{0,100}+)?\]")
_AMPERSANDS = re.compile(r"&(?:(?:amp|#0*+38|#[xX]0*+26);)++")
_ENTITY = re.compile(r"&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|([A-Za-z][A-Za-z0-9]{1,30}));")
_COMPOSED = re.compile(r"[\x00-\x7f]?[^\x00-\x7f](?:[!-~]{0,4}[^\x00-\x7f])*+")

_REASON = re.compile(
    rf"[{_INVISIBLE}{_ACCENTS}{_FANCY[0]}\U0001f130-\U0001f189]|\s\s|[^\S ]|^\s|\s$|[&<\[]"
    rf"|[{_LATIN}][{_CYRILLIC}{_GREEK}]|[{_CYRILLIC}][{_LATIN}{_GREEK}]|[{_GREEK}][{_LATIN}{_CYRILLIC}]"
    r"|[A-Za-z][013457@$!]+[A-Za-z]|\$[A-Za-z]|[A-Za-z]\$|[a-z][A-Z]"
    rf"|(?<![^\W_])[^\W_](?:(?: {{1,{_WIDEST_GAP}}}|[{_JOINTS}])[^\W_](?![^\W_])){{2}}"
    r"|([^\W\d_])\1\1|([^\w\s]|_)\2\2\2|([^\W\d_]{2,3})\3\3"
)
"""Matches every text that a rule changes; compatibility forms and markup are looked for by themselves."""


class _Kind:
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


def undisguise(text: str) -> str:
    """Return `text` as models of normalisation version 2 read it; empty if it shows nothing."""
    return _plain(text, None)[0]


def places(text: str) -> tuple[str, Indices]:
    """Return `undisguise(text)` with the place of each of its characters in `text`.

    Returns:
        The plain text, and where the source of each character begins and ends, in code points, int64
        [2, characters].
    """
    places = np.arange(len(text))
    return _plain(text, np.stack([places, places + 1]))


def stream_safe(text: str) -> str:
    """Return `text` with at most 30 marks after a letter, so that NFKC takes linear time."""
    return _apply((_drop_piled_marks,), text, None)[0]


def _plain(text: str, source: Source) -> tuple[str, Source]:
    for _ in range(_ROUNDS):
        before = text
        if len(text) < _LONG and _is_plain(text):
            break
        text, source = _apply(_BEFORE_COMPOSING, text, source)
        text, source = _composed(text, source)
        if "&" in text:
            text, source = _substitute(_AMPERSANDS, lambda _: "&", text, source)
            text, source = _substitute(_ENTITY, _entity, text, source)
        for sign, pattern, names in (("<", _TAG, _TAGS), ("[", _CODE, _CODES)):
            if sign in text:
                text, source = _substitute(pattern, partial(_tag, names), text, source)
        text, source = _apply(_RULES, text, source)
        if text == before:
            break
    return text, source


def _is_plain(text: str) -> bool:
    composed = text.isascii() or unicodedata.is_normalized("NFKC", text)
    return composed and not _REASON.search(text)


def _composed(text: str, source: Source) -> tuple[str, Source]:
    """Return `text` in NFKC (UAX #15)."""
    if source is None:
        return unicodedata.normalize("NFKC", text), None
    return _substitute(_COMPOSED, lambda match: unicodedata.normalize("NFKC", match[0]), text, source)


def _substitute(
    pattern: re.Pattern[str], replace: Callable[[re.Match[str]], str], text: str, source: Source
) -> tuple[str, Source]:
    """Return `text` with every match replaced, and where its characters came from if that is asked for."""
    if source is None:
        return pattern.sub(replace, text), None
    parts: list[Indices] = []
    end = 0
    for match in pattern.finditer(text):
        replaced = replace(match)
        matched = source[:, match.start() : match.end()]
        if len(replaced) != matched.shape[1]:
            matched = np.repeat([[matched[0, 0]], [matched[1, -1]]], len(replaced), axis=1)
        parts += [source[:, end : match.start()], matched]
        end = match.end()
    return pattern.sub(replace, text), np.concatenate([*parts, source[:, end:]], axis=1)


def _tag(names: Mapping[str, str], match: re.Match[str]) -> str:
    return names.get((match[match.lastindex or 0]).lower(), match[0])


def _entity(match: re.Match[str]) -> str:
    decimal, hexadecimal, name = match.groups()
    if name is not None:
        return html5.get(f"{name};", match.group())
    code = int(decimal) if decimal is not None else int(hexadecimal, 16)
    return chr(code) if code <= sys.maxunicode else ""


@dataclass(slots=True)
class _Characters:
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
        found: Bools = (self.kinds & np.uint32(kind)) != 0
        return found

    def write(self, where: Bools, codes: Codes) -> None:
        """Replace the characters at `where`; their kinds follow."""
        self.codes[where] = codes
        self.kinds[where] = _kinds()[codes]

    def drop(self, where: Bools) -> None:
        kept = ~where
        self.codes, self.index, self.kinds = self.codes[kept], self.index[kept], self.kinds[kept]


Rule = Callable[[_Characters], None]


def _apply(rules: Sequence[Rule], text: str, source: Source) -> tuple[str, Source]:
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).copy()
    characters = _Characters(codes, np.arange(len(codes)))
    for rule in rules:
        if len(characters.codes):
            rule(characters)
    plain = characters.codes.tobytes().decode("utf-32-le", "surrogatepass")
    return plain, None if source is None else source[:, characters.index]


def _before(values: Bools, by: int = 1) -> Bools:
    """Return for each place the value `by` places earlier; False at the start."""
    shifted = np.zeros_like(values)
    shifted[by:] = values[: max(0, len(values) - by)]
    return shifted


def _after(values: Bools, by: int = 1) -> Bools:
    """Return for each place the value `by` places later; False at the end."""
    shifted = np.zeros_like(values)
    shifted[: max(0, len(values) - by)] = values[by:]
    return shifted


def _runs(values: Bools) -> tuple[Indices, Indices]:
    """Return where each run of True begins, and the place after it."""
    edges = np.flatnonzero(np.diff(values.astype(np.int8), prepend=0, append=0))
    return edges[::2], edges[1::2]


def _cumulated(values: Bools) -> NDArray[np.int32]:
    """Return how many values before each place are True, and at the end how many of all."""
    total = np.zeros(len(values) + 1, np.int32)
    np.cumsum(values, out=total[1:])
    return total


def _count(values: Bools, starts: Indices, stops: Indices) -> Indices:
    """Return how many values are True in each run."""
    total = _cumulated(values)
    return np.asarray(total[stops] - total[starts])


def _spread(runs: Bools, starts: Indices, stops: Indices, length: int) -> Bools:
    """Return True at every place of the chosen runs."""
    edges = np.zeros(length + 1, np.int8)
    edges[starts[runs]] += 1
    edges[stops[runs]] -= 1
    return np.cumsum(edges[:-1], dtype=np.int8) > 0


def _drop_invisible(text: _Characters) -> None:
    if text.has & _Kind.INVISIBLE:
        text.drop(text.are(_Kind.INVISIBLE))


def _drop_piled_marks(text: _Characters) -> None:
    if not text.has & _Kind.MARK:
        return
    marks = text.are(_Kind.MARK)
    starts, stops = _runs(marks)
    piled = stops - starts > _MOST_MARKS
    text.drop(_spread(piled, starts + _MOST_MARKS, stops, len(marks)))


def _drop_accents(text: _Characters) -> None:
    if text.has & _Kind.ACCENT:
        text.drop(text.are(_Kind.ACCENT))


def _join_letters(text: _Characters) -> None:
    """Join letters with spaces or the same sign between them, where there are enough of them.

    Wider spaces among them are those between words.
    """
    inner = text.are(_Kind.WORD | _Kind.MARK)
    alone = text.are(_Kind.SCRIPTED | _Kind.ARABIC) & ~_before(inner) & ~_after(inner)
    at = np.flatnonzero(alone)
    if len(at) < _FEWEST_JOINED:
        return
    changes = _cumulated(text.codes[1:] != text.codes[:-1])
    first, last = at[:-1] + 1, at[1:] - 1
    gap, sign = last - first + 1, text.codes[first]
    spaces = (sign == ord(" ")) & (gap <= _WIDEST_GAP)
    links = (changes[first] == changes[last]) & (spaces | (text.are(_Kind.JOINT)[first] & (gap == 1)))
    begins = links & ~(_before(links) & np.concatenate([[False], sign[1:] == sign[:-1]]))
    chain = np.cumsum(begins)
    linked = np.flatnonzero(links)
    if not len(linked):
        return
    chains = chain[linked]
    size = np.bincount(chains)
    narrow = np.full(len(size), _WIDEST_GAP + 1)
    np.minimum.at(narrow, chains, gap[linked])
    long_enough = size[chains] >= np.where(spaces[linked], _FEWEST_SPACED - 1, _FEWEST_JOINED - 1)
    chosen = linked[long_enough & (gap[linked] == narrow[chains])]
    text.drop(_spread(np.ones(len(chosen), np.bool_), first[chosen], last[chosen] + 1, len(alone)))


def _single_spaces(text: _Characters) -> None:
    spaces = text.are(_Kind.SPACE)
    text.codes[spaces] = ord(" ")
    surplus = spaces & _before(spaces)
    surplus[0] = spaces[0]
    if spaces[-1]:
        surplus[_runs(spaces)[0][-1] :] = True
    text.drop(surplus)


def _plain_letters(text: _Characters) -> None:
    if text.has & _Kind.FANCY:
        fancy = text.are(_Kind.FANCY)
        text.write(fancy, _fancy()[text.codes[fancy]])


def _one_script(text: _Characters) -> None:
    """Write a word of two scripts in one if look-alikes allow it, in that of most of its letters first."""
    if (text.has & _Kind.SCRIPTED).bit_count() < 2:  # noqa: PLR2004 - of three scripts
        return
    letters = text.are(_Kind.SCRIPTED)
    starts, stops = _runs(letters)
    latin = _count(text.are(_Kind.LATIN), starts, stops)
    mixed = latin < stops - starts
    mixed &= (latin > 0) | (_count(text.are(_Kind.GREEK), starts, stops) > 0)
    mixed &= _count(text.are(_Kind.GREEK), starts, stops) < stops - starts
    if not mixed.any():
        return
    below = np.minimum(text.codes, _LAST_LETTER)
    in_latin, in_cyrillic = (table[below] for table in _look_alikes())
    latin_fits = _count(letters & (in_latin == 0), starts, stops) == 0
    cyrillic_fits = _count(letters & (in_cyrillic == 0), starts, stops) == 0
    mostly_latin = latin * 2 >= stops - starts
    to_latin = mixed & latin_fits & (mostly_latin | ~cyrillic_fits)
    to_cyrillic = mixed & cyrillic_fits & ~to_latin
    for chosen, written in ((to_latin, in_latin), (to_cyrillic, in_cyrillic)):
        where = _spread(chosen, starts, stops, len(letters))
        text.write(where, written[where])


def _letters_for_digits(text: _Characters) -> None:
    """Read digits and signs in a word as letters, unless it looks like a code or an address."""
    if not (text.has & _Kind.LEET and text.has & _Kind.ASCII):
        return
    letters, leet, digits = text.are(_Kind.ASCII), text.are(_Kind.LEET), text.are(_Kind.DIGIT)
    inside = letters | leet
    starts, stops = _runs(inside)
    codes, length = text.codes, len(inside)
    words, address = text.are(_Kind.WORD), text.are(_Kind.ADDRESS)
    closed = ~_before(words | address | text.are(_Kind.REFERENCE))[starts]
    follows = np.append(words | (codes == ord("_")) | (address & _after(words)), [False])[stops]
    count = stops - starts
    dollar = codes == ord("$")
    capitals = _count(text.are(_Kind.UPPER), starts, stops)
    of_letters = _count(letters, starts, stops)
    code = (capitals == of_letters) & (count <= _SHORT_CODE)
    code |= _count(digits & _before(digits) & _before(digits, 2), starts, stops) > 0
    code |= _count((dollar & _before(digits)) | (digits & _before(dollar)), starts, stops) > 0
    # A run's first and last letter, and the leet characters between them.
    seen = _cumulated(letters)
    run = np.repeat(np.arange(len(starts)), count)
    where = np.flatnonzero(inside)
    has_before = seen[where] > seen[starts][run]
    has_after = seen[stops][run] > seen[where + 1]
    between = np.zeros(length, np.bool_)
    between[where] = leet[where] & has_before & has_after
    inner = _count(between, starts, stops) > 0
    sign = _count(dollar & _before(letters), starts, stops) > 0
    sign |= dollar[starts] & (_count(text.are(_Kind.LOWER), starts, stops) == count - 1)
    chosen = closed & ~follows & ~code & (inner | sign) & (of_letters * 3 >= count)
    chosen &= (count >= _SHORTEST_LEET) & (count <= _LONGEST_LEET)
    # Exclamation marks that end a word are what they are.
    other = inside & (codes != ord("!"))
    rest = _cumulated(other)
    ends_word = np.zeros(length, np.bool_)
    ends_word[where] = rest[stops][run] == rest[where]
    change = _spread(chosen, starts, stops, length) & leet & ~ends_word
    if change.any():
        text.write(change, _leet()[codes[change]])


def _one_case(text: _Characters) -> None:
    """Write a word in lower case that changes from lower to upper case more than once."""
    letters, upper = text.are(_Kind.ASCII), text.are(_Kind.UPPER)
    rises = upper & _before(text.are(_Kind.LOWER))
    if not rises.any():
        return
    starts, stops = _runs(letters)
    inner = np.append(text.are(_Kind.WORD | _Kind.MARK), [False])
    whole = ~_before(inner)[starts] & ~inner[stops]
    restless = whole & (_count(rises, starts, stops) > 1) & (stops - starts >= _MIXED_CASE)
    where = _spread(restless, starts, stops, len(letters)) & upper
    text.write(where, text.codes[where] | np.uint32(0x20))


def _fewer_repeats(text: _Characters) -> None:
    """Keep two of a letter's repeats in a word, three of one that is the word, and three of a sign's."""
    same = np.concatenate([[False], text.codes[1:] == text.codes[:-1]])
    if not (same[1:] & same[:-1]).any():
        return
    starts = np.flatnonzero(~same)
    stops = np.append(starts[1:], len(same))
    alpha, word = text.are(_Kind.ALPHA), text.are(_Kind.WORD | _Kind.MARK)
    signs = ~word & ~text.are(_Kind.SPACE)
    alone = ~_before(word)[starts] & ~np.append(word, [False])[stops]
    most = np.where(alpha[starts] & ~alone, 2, np.where(alpha[starts] | signs[starts], 3, stops - starts))
    text.drop(_spread(stops - starts > most, starts + most, stops, len(same)))


def _fewer_syllables(text: _Characters) -> None:
    """Keep two of a syllable's repeats, of two letters or three."""
    for period in (2, 3):
        if len(text.codes) < 3 * period:
            return
        again = text.are(_Kind.ALPHA)
        again[period:] &= text.codes[period:] == text.codes[:-period]
        again[:period] = False
        starts, stops = _runs(again)
        surplus = (stops - starts) // period - 1
        first = starts + period
        text.drop(_spread(surplus > 0, first, first + surplus * period, len(again)))


_BEFORE_COMPOSING: tuple[Rule, ...] = (_drop_invisible, _drop_piled_marks, _plain_letters)
_RULES: tuple[Rule, ...] = (
    _drop_invisible,
    _drop_accents,
    _join_letters,
    _single_spaces,
    _one_script,
    _letters_for_digits,
    _one_case,
    _fewer_repeats,
    _fewer_syllables,
)


def _codes(characters: str) -> Codes:
    return np.array([ord(c) for c in characters], np.uint32)


def _table(source: str, target: str, *, size: int) -> Codes:
    table = np.zeros(size, np.uint32)
    table[_codes(source)] = _codes(target)
    return table


@cache
def _fancy() -> Codes:
    capitals = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    boxed = "".join(chr(first + index) for first in _BOXED for index in range(len(capitals)))
    return _table(_FANCY[0] + boxed, _FANCY[1] + capitals * len(_BOXED), size=_BOXED[-1] + len(capitals))


@cache
def _leet() -> Codes:
    return _table(*_LEET, size=128)


@cache
def _look_alikes() -> tuple[Codes, Codes]:
    """Return the Latin and the Cyrillic form of each letter; 0 where there is none."""
    tables = []
    for script, pairs in ((_LATIN, _TO_LATIN), (_CYRILLIC, _TO_CYRILLIC)):
        own = "".join(re.findall(f"[{script}]", _characters(_LAST_LETTER)))
        tables.append(_table(own + pairs[0], own + pairs[1], size=_LAST_LETTER + 1))
    return tables[0], tables[1]


def _characters(last: int) -> str:
    return "".join(map(chr, range(last + 1)))


@cache
def _kinds() -> NDArray[np.uint32]:
    """Return the kind of every code point, uint32 [1,114,112]."""
    kinds = np.zeros(sys.maxunicode + 1, np.uint32)
    first = _characters(0x1FFFF)  # what lies above is Han, invisible or unassigned
    for kind, ranges in (
        (_Kind.INVISIBLE, _INVISIBLE),
        (_Kind.ACCENT, _ACCENTS),
        (_Kind.LATIN, _LATIN),
        (_Kind.CYRILLIC, _CYRILLIC),
        (_Kind.GREEK, _GREEK),
        (_Kind.ARABIC, _ARABIC),
        (_Kind.UPPER, "A-Z"),
        (_Kind.LOWER, "a-z"),
        (_Kind.DIGIT, "0-9"),
        (_Kind.LEET, re.escape(_LEET[0])),
        (_Kind.JOINT, _JOINTS),
        (_Kind.ADDRESS, ".:/\\-"),
        (_Kind.REFERENCE, "#&_"),
        (_Kind.FANCY, _FANCY[0] + "".join(f"{chr(start)}-{chr(start + 25)}" for start in _BOXED)),
    ):
        for match in re.finditer(f"[{ranges}]+", first):
            kinds[slice(*match.span())] |= np.uint32(kind)
    for kind, is_kind in (
        (_Kind.ALPHA, str.isalpha),
        (_Kind.WORD, str.isalnum),
        (_Kind.SPACE, str.isspace),
        (_Kind.MARK, lambda character: unicodedata.category(character)[0] == "M"),
    ):
        kinds[np.flatnonzero(np.fromiter(map(is_kind, first), np.bool_, len(first)))] |= np.uint32(kind)
    kinds[0x20000:0x323B0] = _Kind.ALPHA | _Kind.WORD
    kinds[0xE0000:0xE1000] = kinds[0xF0000:] = _Kind.INVISIBLE
    return kinds
