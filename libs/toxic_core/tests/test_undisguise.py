"""Normalisation version 2: disguises become plain, and plain texts stay."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from toxic_core.text import normalise
from toxic_core.undisguise import _is_plain, _plain, places, stream_safe, undisguise

ANY_TEXT = st.text(st.characters(codec=None))
ODD_TEXT = st.text(
    st.sampled_from("abcABCdeо іхАβ 014$!@.-_*&<>/;[]#\u0301\u0489é\u200b\u0640ﬁｉ㌀가ᄒ𝓎😂हि\t\n")
)
"""Made of characters that the rules look for, so that they meet one another."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("T h a n k   y o u", "Thank you"),
        ("t.h.a.n.k.s!", "thanks!"),
        ("t-h-a-n-k-s a/b", "thanks a/b"),
        ("U.S.A. and e.g. this", "USA. and e.g. this"),
        ("a b c", "a b c"),
        ("ѕіllу", "silly"),
        ("ДУРAK", "ДУРАК"),
        ("Привіт, друже", "Привіт, друже"),
        ("10 μm", "10 μm"),
        ("s1lly, st0p th4t", "silly, stop that"),
        ("$illy a$$", "silly ass"),
        ("mp3, 4x4, R2D2, 100, b4", "mp3, 4x4, R2D2, 100, b4"),
        ("me@home.com @some1 #1a1 x=a1b2", "me@home.com @some1 #1a1 x=a1b2"),
        ("wow!!", "wow!!"),
        ("sTuPiD JavaScript", "stupid JavaScript"),
        ("sooooo niiice", "soo niice"),
        ("KKK, www, hmmmm!!!!!!", "KKK, www, hmm!!!"),
        ("hahahahaha jajajaja", "haha jaja"),
        ("1000000", "1000000"),
        ("😂😂😂😂😂", "😂😂😂"),
        ("ʏᴏᴜ 🅰🅱", "you AB"),
        ("s\u0337i\u0336l\u0335l\u0337y\u0316", "silly"),
        ("за\u0301мок и йод", "замок и йод"),
        ("crème brûlée", "crème brûlée"),
        ("<p>You <b>are</b> kind</p>", "You are kind"),
        ("one<br>two [b]three[/b] [4] <3 <unknown>", "one two three [4] <3 <unknown>"),
        ("R&amp;D &#115;illy &amp;amp;lt; &nosuch;", "R&D silly < &nosuch;"),
        ("si\u200blly \u202egnp\u202c", "silly gnp"),
        ("ｓｉｌｌｙ", "silly"),
        ("مـــرحبا", "مرحبا"),
        ("क्या हाल है", "क्या हाल है"),
        ("", ""),
    ],
)
def test_examples(text: str, expected: str) -> None:
    """Disguises are undone; names, codes, addresses, numbers and spelling stay."""
    assert undisguise(text) == expected


@given(ANY_TEXT | ODD_TEXT)
@example("\ud800")
def test_undoing_twice_changes_nothing(text: str) -> None:
    """`undisguise` is idempotent on any text, lone surrogates included."""
    once = undisguise(text)
    assert undisguise(once) == once


@given(ANY_TEXT | ODD_TEXT)
def test_the_result_can_be_written_and_read(text: str) -> None:
    """It is in NFKC, has single spaces, and no control, format, private or surrogate character."""
    plain = undisguise(text)
    assert unicodedata.is_normalized("NFKC", plain)
    assert plain == " ".join(plain.split())
    assert not {unicodedata.category(c) for c in plain} & {"Cc", "Cf", "Co", "Cs"}


@given(ANY_TEXT | ODD_TEXT)
def test_a_text_without_a_reason_is_left_alone(text: str) -> None:
    """What `_is_plain` lets through is what the rules would leave as it is."""
    if _is_plain(text):
        assert _plain(text + " " * 2000, None)[0] == text


@given(ANY_TEXT | ODD_TEXT)
def test_places_lie_in_the_text_in_order(text: str) -> None:
    """Each character of the plain text has a source, and sources follow one another."""
    plain, (begins, ends) = places(text)
    assert plain == undisguise(text)
    assert len(begins) == len(ends) == len(plain)
    assert all(0 <= begin < end <= len(text) for begin, end in zip(begins, ends, strict=True))
    assert sorted(begins) == list(begins)
    assert sorted(ends) == list(ends)


def test_a_character_kept_has_its_own_place() -> None:
    """Letters that a rule moved together still point to where the sender put them."""
    text = "x  <b>i d i o</b> &amp; y"
    plain, (begins, ends) = places(text)
    assert plain == "x idio & y"
    assert "".join(text[begins[at]] for at in (0, 2, 3, 4, 5, 9)) == "xidioy"
    assert text[begins[7] : ends[7]] == "&amp;"


@given(ANY_TEXT, st.text(" \t\r\n", max_size=3), st.text(" \t\r\n", max_size=3))
def test_white_space_at_the_ends_is_never_read(text: str, before: str, after: str) -> None:
    """Next to any character; `places` agrees."""
    whole = before + text + after
    assert undisguise(whole) == undisguise(text) == places(whole)[0]


@given(ANY_TEXT)
def test_the_same_texts_are_empty_in_both_versions(text: str) -> None:
    """A text is blank or not, whichever model reads it."""
    assert bool(normalise(text, 1)) == bool(normalise(text, 2))


@pytest.mark.hostile(9)
def test_piled_marks_are_dropped_before_they_are_sorted() -> None:
    """Sorting takes quadratic time: ten thousand marks after a letter would hold the interpreter's lock."""
    piled = "a" + "\u0301" * 5_100 + "\u0334" * 5_100
    assert stream_safe(piled) == piled[:31]
    assert len(normalise(piled, version=2)) <= 31
    assert stream_safe("e\u0301" * 1_000) == "e\u0301" * 1_000
