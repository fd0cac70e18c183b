r"""JSON as Google's API front end reads it: protobuf's `util/internal/json_stream_parser.cc`.

Beyond RFC 8259: keys without quotes, single quotes, a comma after the last member or element, control
characters in strings, and escapes that JSON lacks (`\'` is `'`). It reads no comments, no NaN, no
strings without quotes, no hexadecimal numbers.

Invariant: wherever strict JSON parses, the value is the same. Time is linear in the text's length, which is
bounded, as are nesting and the number of values.
"""

import json
import re

from toxic_inference.http.body import refuse_constant, unique_keys
from toxic_inference.http.errors import MalformedRequestError

MAX_CHARACTERS = 256 * 1024
"""Longest text: the longest comment in escapes, twice over."""
MAX_VALUES = 10_000
MAX_DEPTH = 64

_SPACE = re.compile(r"[ \t\n\r\v\f]*+")
_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*+")
_NUMBER = re.compile(r"(-?(?:0|[1-9][0-9]*+))(\.[0-9]++)?([eE][+-]?[0-9]++)?(?![\w.+-])")
# Possessive quantifiers: a string without its end is scanned once.
_STRINGS = {
    '"': re.compile(r'"((?:[^"\\]++|\\.)*+)"', re.DOTALL),
    "'": re.compile(r"'((?:[^'\\]++|\\.)*+)'", re.DOTALL),
}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_FOREIGN_ESCAPE = re.compile(r"\\(?![\"\\/bfnrt]|u[0-9a-fA-F]{4})")
"""A backslash that may begin an escape that JSON lacks."""
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_SURROGATE = re.compile("[\ud800-\udfff]")
_DECODER = json.JSONDecoder(strict=False)
"""Python's own, which reads strings with control characters."""
_CONSTANTS = {"true": True, "false": False, "null": None}


def parse_relaxed_json(text: str) -> object:
    """Return the JSON value in `text`.

    Raises:
        json.JSONDecodeError: it is not JSON, even in this form.
        MalformedRequestError: it has a key twice, NaN or an infinity, or exceeds a bound.
    """
    if len(text) > MAX_CHARACTERS:
        raise MalformedRequestError(
            f"The body is not strict JSON, and with {len(text):,} characters too long to be read otherwise; "
            "send strict JSON."
        )
    reader = _Reader(text)
    value = reader.value(depth=0)
    if reader.next():
        raise reader.error("Extra data")
    return value


class _Reader:
    """A position in a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._values = 0

    def error(self, message: str) -> json.JSONDecodeError:
        return json.JSONDecodeError(message, self._text, self._at)

    def next(self) -> str:
        """Skip white space; return the next character, or an empty string at the end."""
        if found := _SPACE.match(self._text, self._at):
            self._at = found.end()
        return self._text[self._at : self._at + 1]

    def value(self, *, depth: int) -> object:
        self._values += 1
        if depth > MAX_DEPTH or self._values > MAX_VALUES:
            raise MalformedRequestError("The JSON is nested too deeply, or has too many values.")
        start = self.next()
        if start == "{":
            return self._object(depth)
        if start == "[":
            return self._array(depth)
        if start in _STRINGS:
            return self._string(start)
        if found := _NUMBER.match(self._text, self._at):
            self._at = found.end()
            whole, fraction, exponent = found.groups()
            return float(found[0]) if fraction or exponent else int(whole)
        name = _NAME.match(self._text, self._at + (start == "-"))
        if name is not None and name[0] in {"NaN", "Infinity"}:
            refuse_constant(name[0])
        if name is None or start == "-" or name[0] not in _CONSTANTS:
            raise self.error("Expecting value")
        self._at = name.end()
        return _CONSTANTS[name[0]]

    def _object(self, depth: int) -> dict[str, object]:
        pairs: list[tuple[str, object]] = []
        self._at += 1
        while (start := self.next()) != "}":
            if start in _STRINGS:
                key = self._string(start)
            elif name := _NAME.match(self._text, self._at):
                key, self._at = name[0], name.end()
            else:
                raise self.error("Expecting property name")
            if self.next() != ":":
                raise self.error("Expecting ':' delimiter")
            self._at += 1
            pairs.append((key, self.value(depth=depth + 1)))
            self._separator("}")
        self._at += 1
        return unique_keys(pairs)

    def _array(self, depth: int) -> list[object]:
        items: list[object] = []
        self._at += 1
        while self.next() != "]":
            items.append(self.value(depth=depth + 1))
            self._separator("]")
        self._at += 1
        return items

    def _separator(self, end: str) -> None:
        """Step over a comma; the last one may be missing."""
        found = self.next()
        if found == ",":
            self._at += 1
        elif found != end:
            raise self.error("Expecting ',' delimiter")

    def _string(self, quote: str) -> str:
        found = _STRINGS[quote].match(self._text, self._at)
        if found is None:
            raise self.error("Unterminated string starting at")
        if "\\" not in (content := found[1]):
            self._at = found.end()
            return content
        if quote == '"' and not _FOREIGN_ESCAPE.search(content):
            decoded, self._at = _DECODER.raw_decode(self._text, self._at)
            return str(decoded)

        def unescaped(escape: re.Match[str]) -> str:
            code = escape[1]
            if code == "u":
                raise self.error("Invalid \\uXXXX escape")
            return chr(int(code[1:], 16)) if len(code) > 1 else _ESCAPED.get(code, code)

        content = _ESCAPE.sub(unescaped, content)
        self._at = found.end()
        if _SURROGATE.search(content):  # two escapes are one character beyond 16 bits
            content = content.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        return content
