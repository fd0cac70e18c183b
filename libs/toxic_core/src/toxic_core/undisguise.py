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
from functools import partial
from html.entities import html5
from typing import TypeVar

import numpy as np

from toxic_core.characters import (
    ACCENTS,
    CYRILLIC,
    FANCY,
    GREEK,
    INVISIBLE,
    JOINTS,
    LAST_LETTER,
    LATIN,
    Characters,
    Indices,
    Kind,
    after,
    before,
    count_in,
    cumulated,
    fancy_letters,
    leet_letters,
    look_alikes,
    runs_of,
    spread,
)

Source = TypeVar("Source", Indices, None)
"""Where each character came from, begin and end, int64 [2, characters]; None if not wanted."""

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
_ENDS = " \t\r\n"
_SHORTEST_LEET, _LONGEST_LEET = 3, 40
_MIXED_CASE = 4


_BLOCKS = (
    "address article blockquote body br center dd div dl dt footer h1 h2 h3 h4 h5 h6 head header hr html img "
    "li main nav ol option p pre script section style table tbody td tfoot th thead title tr ul"
)
_INLINES = "a abbr b big code del em font i ins mark s small span strike strong sub sup tt u"
_TAGS = dict.fromkeys(["!--", *_BLOCKS.split()], " ") | dict.fromkeys(_INLINES.split(), "")
"""What a tag becomes: a space if a browser shows a gap."""
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
    rf"[{INVISIBLE}{ACCENTS}{FANCY[0]}\U0001f130-\U0001f189]|\s\s|[^\S ]|^\s|\s$|[&<\[]"
    rf"|[{LATIN}][{CYRILLIC}{GREEK}]|[{CYRILLIC}][{LATIN}{GREEK}]|[{GREEK}][{LATIN}{CYRILLIC}]"
    r"|[A-Za-z][013457@$!]+[A-Za-z]|\$[A-Za-z]|[A-Za-z]\$|[a-z][A-Z]"
    rf"|(?<![^\W_])[^\W_](?:(?: {{1,{_WIDEST_GAP}}}|[{JOINTS}])[^\W_](?![^\W_])){{2}}"
    r"|([^\W\d_])\1\1|([^\w\s]|_)\2\2\2|([^\W\d_]{2,3})\3\3"
)
"""Matches every text that a rule changes; compatibility forms and markup are looked for by themselves."""


def undisguise(text: str) -> str:
    """Return `text` as models of normalisation version 2 read it; empty if nothing is visible."""
    # A final line break or space, the commonest reason for rules, is removed faster without them.
    return _plain(text.strip(_ENDS), None)[0]


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
        previous = text
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
        if text == previous:
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


Rule = Callable[[Characters], None]


def _apply(rules: Sequence[Rule], text: str, source: Source) -> tuple[str, Source]:
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).copy()
    characters = Characters(codes, np.arange(len(codes)))
    for rule in rules:
        if len(characters.codes):
            rule(characters)
    plain = characters.codes.tobytes().decode("utf-32-le", "surrogatepass")
    return plain, None if source is None else source[:, characters.index]


def _drop_invisible(text: Characters) -> None:
    if text.has & Kind.INVISIBLE:
        text.drop(text.are(Kind.INVISIBLE))


def _drop_piled_marks(text: Characters) -> None:
    if not text.has & Kind.MARK:
        return
    marks = text.are(Kind.MARK)
    starts, stops = runs_of(marks)
    piled = stops - starts > _MOST_MARKS
    text.drop(spread(piled, starts + _MOST_MARKS, stops, len(marks)))


def _drop_accents(text: Characters) -> None:
    if text.has & Kind.ACCENT:
        text.drop(text.are(Kind.ACCENT))


def _join_letters(text: Characters) -> None:
    """Join letters with spaces or the same sign between them, if there are enough of them.

    Wider spaces among them are those between words.
    """
    inner = text.are(Kind.WORD | Kind.MARK)
    alone = text.are(Kind.SCRIPTED | Kind.ARABIC) & ~before(inner) & ~after(inner)
    at = np.flatnonzero(alone)
    if len(at) < _FEWEST_JOINED:
        return
    changes = cumulated(text.codes[1:] != text.codes[:-1])
    first, last = at[:-1] + 1, at[1:] - 1
    gap, sign = last - first + 1, text.codes[first]
    spaces = (sign == ord(" ")) & (gap <= _WIDEST_GAP)
    links = (changes[first] == changes[last]) & (spaces | (text.are(Kind.JOINT)[first] & (gap == 1)))
    begins = links & ~(before(links) & np.concatenate([[False], sign[1:] == sign[:-1]]))
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
    text.drop(spread(np.ones(len(chosen), np.bool_), first[chosen], last[chosen] + 1, len(alone)))


def _single_spaces(text: Characters) -> None:
    spaces = text.are(Kind.SPACE)
    text.codes[spaces] = ord(" ")
    surplus = spaces & before(spaces)
    surplus[0] = spaces[0]
    if spaces[-1]:
        surplus[runs_of(spaces)[0][-1] :] = True
    text.drop(surplus)


def _plain_letters(text: Characters) -> None:
    if text.has & Kind.FANCY:
        fancy = text.are(Kind.FANCY)
        text.write(fancy, fancy_letters()[text.codes[fancy]])


def _one_script(text: Characters) -> None:
    """Write a word of two scripts in one if look-alikes allow it, in that of most of its letters first."""
    if (text.has & Kind.SCRIPTED).bit_count() < 2:  # noqa: PLR2004 - of three scripts
        return
    letters = text.are(Kind.SCRIPTED)
    starts, stops = runs_of(letters)
    latin = count_in(text.are(Kind.LATIN), starts, stops)
    mixed = latin < stops - starts
    mixed &= (latin > 0) | (count_in(text.are(Kind.GREEK), starts, stops) > 0)
    mixed &= count_in(text.are(Kind.GREEK), starts, stops) < stops - starts
    if not mixed.any():
        return
    below = np.minimum(text.codes, LAST_LETTER)
    in_latin, in_cyrillic = (table[below] for table in look_alikes())
    latin_fits = count_in(letters & (in_latin == 0), starts, stops) == 0
    cyrillic_fits = count_in(letters & (in_cyrillic == 0), starts, stops) == 0
    mostly_latin = latin * 2 >= stops - starts
    to_latin = mixed & latin_fits & (mostly_latin | ~cyrillic_fits)
    to_cyrillic = mixed & cyrillic_fits & ~to_latin
    for chosen, written in ((to_latin, in_latin), (to_cyrillic, in_cyrillic)):
        where = spread(chosen, starts, stops, len(letters))
        text.write(where, written[where])


def _letters_for_digits(text: Characters) -> None:
    """Read digits and signs in a word as letters, unless it looks like a code or an address."""
    if not (text.has & Kind.LEET and text.has & Kind.ASCII):
        return
    letters, leet, digits = text.are(Kind.ASCII), text.are(Kind.LEET), text.are(Kind.DIGIT)
    inside = letters | leet
    starts, stops = runs_of(inside)
    codes, length = text.codes, len(inside)
    words, address = text.are(Kind.WORD), text.are(Kind.ADDRESS)
    closed = ~before(words | address | text.are(Kind.REFERENCE))[starts]
    follows = np.append(words | (codes == ord("_")) | (address & after(words)), [False])[stops]
    count = stops - starts
    dollar = codes == ord("$")
    capitals = count_in(text.are(Kind.UPPER), starts, stops)
    of_letters = count_in(letters, starts, stops)
    code = (capitals == of_letters) & (count <= _SHORT_CODE)
    code |= count_in(digits & before(digits) & before(digits, 2), starts, stops) > 0
    code |= count_in((dollar & before(digits)) | (digits & before(dollar)), starts, stops) > 0
    # A run's first and last letter, and the leet characters between them.
    seen = cumulated(letters)
    run = np.repeat(np.arange(len(starts)), count)
    where = np.flatnonzero(inside)
    has_before = seen[where] > seen[starts][run]
    has_after = seen[stops][run] > seen[where + 1]
    between = np.zeros(length, np.bool_)
    between[where] = leet[where] & has_before & has_after
    inner = count_in(between, starts, stops) > 0
    sign = count_in(dollar & before(letters), starts, stops) > 0
    sign |= dollar[starts] & (count_in(text.are(Kind.LOWER), starts, stops) == count - 1)
    chosen = closed & ~follows & ~code & (inner | sign) & (of_letters * 3 >= count)
    chosen &= (count >= _SHORTEST_LEET) & (count <= _LONGEST_LEET)
    # Exclamation marks that end a word are what they are.
    other = inside & (codes != ord("!"))
    rest = cumulated(other)
    ends_word = np.zeros(length, np.bool_)
    ends_word[where] = rest[stops][run] == rest[where]
    change = spread(chosen, starts, stops, length) & leet & ~ends_word
    if change.any():
        text.write(change, leet_letters()[codes[change]])


def _one_case(text: Characters) -> None:
    """Write a word in lower case that changes from lower to upper case more than once."""
    letters, upper = text.are(Kind.ASCII), text.are(Kind.UPPER)
    rises = upper & before(text.are(Kind.LOWER))
    if not rises.any():
        return
    starts, stops = runs_of(letters)
    inner = np.append(text.are(Kind.WORD | Kind.MARK), [False])
    whole = ~before(inner)[starts] & ~inner[stops]
    restless = whole & (count_in(rises, starts, stops) > 1) & (stops - starts >= _MIXED_CASE)
    where = spread(restless, starts, stops, len(letters)) & upper
    text.write(where, text.codes[where] | np.uint32(0x20))


def _fewer_repeats(text: Characters) -> None:
    """Keep two of a letter's repeats in a word, three of one that is the word, and three of a sign's."""
    same = np.concatenate([[False], text.codes[1:] == text.codes[:-1]])
    if not (same[1:] & same[:-1]).any():
        return
    starts = np.flatnonzero(~same)
    stops = np.append(starts[1:], len(same))
    alpha, word = text.are(Kind.ALPHA), text.are(Kind.WORD | Kind.MARK)
    signs = ~word & ~text.are(Kind.SPACE)
    alone = ~before(word)[starts] & ~np.append(word, [False])[stops]
    most = np.where(alpha[starts] & ~alone, 2, np.where(alpha[starts] | signs[starts], 3, stops - starts))
    text.drop(spread(stops - starts > most, starts + most, stops, len(same)))


def _fewer_syllables(text: Characters) -> None:
    """Keep two of a syllable's repeats, of two letters or three."""
    for period in (2, 3):
        if len(text.codes) < 3 * period:
            return
        again = text.are(Kind.ALPHA)
        again[period:] &= text.codes[period:] == text.codes[:-period]
        again[:period] = False
        starts, stops = runs_of(again)
        surplus = (stops - starts) // period - 1
        first = starts + period
        text.drop(spread(surplus > 0, first, first + surplus * period, len(again)))


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
