"""Splitting a text into sentences with their positions.

Invariant: sentences are in order, don't overlap, contain something visible, and are at most `MAX_SENTENCES`:
the last one contains the rest.
"""

import re
from dataclasses import dataclass
from itertools import pairwise

from toxic_core.text import is_blank

MAX_SENTENCES = 64
"""Most rows that one request may add to the queue by asking for spans."""

_BOUNDARY = re.compile(r"(?:[.!?…]['\"»”’)\]]{0,3}(?=\s)|[。！？]|\n)")
"""The end of a sentence. One closing character, so that a run of them is scanned once and not from each."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence.

    Attributes:
        text: its characters, without white space around.
        begin: its begin in the text, in UTF-16 code units, as in JavaScript, Java and the Perspective API.
        end: its end, exclusive, in UTF-16 code units.
    """

    text: str
    begin: int
    end: int


def sentences_of(text: str) -> list[Sentence]:
    """Return the sentences of `text`; none if it has no visible character."""
    ends = [0, *(match.end() for match in _BOUNDARY.finditer(text)), len(text)]
    pieces: list[tuple[int, int]] = []
    for begin, end in pairwise(ends):
        piece = text[begin:end]
        stripped = piece.strip()
        if not is_blank(stripped):
            start = begin + len(piece) - len(piece.lstrip())
            pieces.append((start, start + len(stripped)))
    if len(pieces) > MAX_SENTENCES:
        pieces[MAX_SENTENCES - 1 :] = [(pieces[MAX_SENTENCES - 1][0], pieces[-1][1])]
    sentences: list[Sentence] = []
    counted = units = 0
    for begin, end in pieces:
        units += utf16_length(text[counted:begin])
        start, units = units, units + utf16_length(text[begin:end])
        sentences.append(Sentence(text[begin:end], start, units))
        counted = end
    return sentences


def utf16_length(text: str) -> int:
    """Return the number of UTF-16 code units in `text`."""
    return len(text) + sum(character > "\uffff" for character in text)
