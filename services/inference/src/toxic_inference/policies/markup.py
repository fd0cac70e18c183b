"""Strips markup from comments, with quotes of other people and code blocks.

Invariant: linear in the text's length.
"""

import re
from collections.abc import Callable, Mapping
from html import unescape

from toxic_core.text import is_blank

_BBCODE_BLOCK = re.compile(r"\[(/?)(?:quote|code)\b[^\]\n]{0,200}\]", re.IGNORECASE)
_BBCODE_TAG = re.compile(r"\[/?[a-z*]{1,12}(?:=[^\]\n]{0,200})?\]", re.IGNORECASE)
_HTML_BLOCK = re.compile(r"<(/?)(?:blockquote|pre|code)\b[^<>]{0,1000}>", re.IGNORECASE)
_HTML_TAG = re.compile(r"<[/!a-z][^<>]{0,1000}>", re.IGNORECASE)
_FENCE = re.compile(r" {0,3}(?:```|~~~)")
_QUOTE = re.compile(r" {0,3}>")
_MARKDOWN = re.compile(
    r"`[^`\n]{1,500}`|!?\[([^\[\]\n]{0,500})\]\([^()\s]{0,500}\)|\*{1,3}|_{2,3}|^#{1,6} ", re.MULTILINE
)


def _outside(text: str, block: re.Pattern[str]) -> str:
    """Return what is in no block; a tag that is never closed begins none."""
    parts, depth, at = [], 0, 0
    for tag in block.finditer(text):
        if not depth:
            parts.append(text[at : tag.start()])
            at = tag.end()
        depth = max(0, depth - 1) if tag[1] else depth + 1
        if not depth:
            at = tag.end()
    return " ".join([*parts, text[at:]])


def _markdown(text: str) -> str:
    lines, fenced = [], False
    for line in text.splitlines():
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced and not _QUOTE.match(line):
            lines.append(line)
    return _MARKDOWN.sub(lambda found: found[1] or "", "\n".join(lines))


_STRIP: Mapping[str, Callable[[str], str]] = {
    "html": lambda text: unescape(_HTML_TAG.sub(" ", _outside(text, _HTML_BLOCK))),
    "bbcode": lambda text: _BBCODE_TAG.sub("", _outside(text, _BBCODE_BLOCK)),
    "markdown": _markdown,
}


def strip_markup(text: str, markup: str) -> str:
    """Return a text without its markup (`html`, `bbcode`, `markdown`); the text itself if none is left."""
    stripped = _STRIP[markup](text).strip()
    return text if is_blank(stripped) else stripped
