from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toxic_core.text import normalise
from toxic_inference.serving.errors import RejectedTextError, TextTooLongError
from toxic_inference.serving.scoring.texts import check_text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        (" \t\n", "only white space"),
        ("\u200b\u200d\u2060", "invisible"),
        ("\ufeff", "invisible"),
        ("ab\ud800c", "surrogate pair at character 3"),
    ],
)
def test_what_can_t_be_scored_is_refused_with_the_reason(text: str, says: str) -> None:
    """The message names the field and says what is wrong with it."""
    with pytest.raises(RejectedTextError, match=says) as refusal:
        check_text(text, field="texts[3]", max_bytes=100)
    assert refusal.value.field == "texts[3]"
    assert str(refusal.value).startswith("texts[3]")


def test_a_text_may_begin_with_much_that_is_invisible() -> None:
    """A visible character anywhere makes a text."""
    check_text("\u200b" * 200 + "a", field="text", max_bytes=1_000)


def test_the_limit_counts_bytes() -> None:
    """Fifty two-byte letters fit into a hundred bytes; one more doesn't."""
    check_text("é" * 50, field="text", max_bytes=100)
    with pytest.raises(TextTooLongError, match=r"102 bytes .* limit is 100"):
        check_text("é" * 51, field="text", max_bytes=100)


@given(st.text(st.characters(exclude_categories=[])))
def test_what_passes_can_be_scored(text: str) -> None:
    """Whatever passes holds something visible, is valid Unicode and within the limit."""
    with suppress(RejectedTextError):
        check_text(text, field="text", max_bytes=50)
        assert normalise(text)
        assert len(text.encode()) <= 50
