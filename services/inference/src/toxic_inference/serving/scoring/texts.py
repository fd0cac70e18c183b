"""Checks whether a text can be scored.

Invariant: a text that passes `check_text` can be tokenised and scored.
"""

from toxic_core.text import is_blank
from toxic_inference.serving.errors import RejectedTextError, TextTooLongError

_START_CHARACTERS = 64


def half_surrogate(field: str, error: UnicodeEncodeError) -> RejectedTextError:
    """Return the refusal of a text that can't be encoded."""
    return RejectedTextError(
        f"{field} contains half a surrogate pair at character {error.start + 1}; send valid Unicode.",
        field=field,
    )


def check_text(text: str, *, field: str, max_bytes: int) -> None:
    """Refuse a text that can't be scored.

    Args:
        text: as the caller sent it.
        field: its place in the caller's input, for the message.
        max_bytes: longest text, in UTF-8 bytes.

    Raises:
        RejectedTextError: it is empty, has no visible character, or isn't valid Unicode.
        TextTooLongError: it is too long.
    """
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise half_surrogate(field, error) from error
    if size > max_bytes:
        raise TextTooLongError(
            f"{field} is {size:,} bytes long in UTF-8; the limit is {max_bytes:,}. Split or shorten it.",
            field=field,
        )
    if not text:
        raise RejectedTextError(f"{field} is empty; send a text to score.", field=field)
    # The start decides for nearly every text, and costs the event loop very little.
    if is_blank(text[:_START_CHARACTERS]) and is_blank(text):
        raise RejectedTextError(
            f"{field} contains only white space or invisible characters; send a text to score.", field=field
        )
