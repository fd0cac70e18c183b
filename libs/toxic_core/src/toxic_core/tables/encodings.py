"""The encoding of a table's text: by its byte order mark, else as declared, else UTF-8. It is never guessed.

Invariant: no byte is replaced silently: one that isn't in the encoding becomes a lone surrogate, which marks
its row.
"""

import codecs

from toxic_core.errors import InvalidDataError

_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_WIDE = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
_BYTEWISE = (
    *("utf-8", "ascii", "koi8-r", "koi8-u", "mac-roman", "tis-620"),
    *(f"cp{page}" for page in (437, 850, 852, 855, 866, 874, *range(1250, 1259))),
    *(f"iso8859-{part}" for part in (*range(2, 12), *range(13, 17))),
)
"""Encodings in which a comma, a quote and a line feed are always the ASCII byte."""
_MULTIBYTE = ("gb2312", "gbk", "gb18030", "big5", "shift_jis", "cp932", "euc_jp", "euc_kr", "cp949")
_NAMES = {codecs.lookup(name).name: name for name in (*_WIDE, *_BYTEWISE, *_MULTIBYTE)}
# WHATWG's Encoding Standard: what is labelled Latin-1 is Windows-1252, which has quotation marks instead of
# control characters.
_NAMES |= {"iso8859-1": "cp1252", "utf-8-sig": "utf-8"}

MARKED = "toxic.marked"
"""Name of the error handler that replaces each byte that can't be decoded by a lone surrogate."""


def _marked(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)  # noqa: S101  streams are only decoded
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error(MARKED, _marked)


def encoding_named(name: str) -> str:
    """Return the encoding that a caller declares, such as `cp1252` for `Windows-1252`.

    Raises:
        InvalidDataError: it is no encoding of texts that is read.
    """
    try:
        return _NAMES[codecs.lookup(name.strip()).name]
    except (LookupError, ValueError) as error:
        raise InvalidDataError(
            f"The encoding {name[:40]!r} is not read; declare utf-8, utf-16, windows-1252, windows-1251 or "
            "another common one, or save the file in UTF-8."
        ) from error


def find_encoding(start: bytes, declared: str | None) -> tuple[str, int]:
    """Return a file's encoding and the length of its byte order mark.

    Args:
        start: the file's first bytes.
        declared: the encoding by `encoding_named`; a byte order mark goes before it.
    """
    encoding = declared or "utf-8"
    for mark, marked in _BYTE_ORDER_MARKS.items():
        if start.startswith(mark):
            return marked, len(mark)
    # Without a mark, as the Unicode standard has it.
    return encoding + "-be" if encoding in {"utf-16", "utf-32"} else encoding, 0


def is_bytewise(encoding: str) -> bool:
    """Return whether bytes that look like ASCII always are, so that a file can be cut at a line's end."""
    return encoding in _BYTEWISE
