"""Normalisation: total, idempotent, and blind to what a reader can't see."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from toxic_core.text import NORMALISATION_VERSIONS, is_blank, normalise, words

ANY_TEXT = st.text(st.characters(codec=None))
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u115f\u1160\u3164\uffa0\u2800\ufe0f\U000e0041\x00\x7f"


@given(ANY_TEXT)
@example("\ud800")
@example("e\u200b\u0301")
@example("\u0301 \u200b \u0301")
@example("\u1112\u200b\u1161\u200b\u11ab")
@example("\u00b4\u3000\u00a8")
def test_normalising_twice_changes_nothing(text: str) -> None:
    """`normalise` is idempotent on any text, lone surrogates included."""
    once = normalise(text)
    assert normalise(once) == once


@given(ANY_TEXT)
def test_nothing_invisible_is_left(text: str) -> None:
    """The result holds no control, format, private or surrogate character, and can always be written."""
    result = normalise(text)
    assert not {unicodedata.category(c) for c in result} & {"Cc", "Cf", "Co", "Cs"}
    assert not set(result) & set(INVISIBLE)
    result.encode()


@given(ANY_TEXT)
def test_the_only_space_is_one_space(text: str) -> None:
    """Words are separated by single spaces, with none at the ends."""
    result = normalise(text)
    assert result == " ".join(result.split())


@given(ANY_TEXT)
def test_the_result_is_in_nfkc(text: str) -> None:
    """Compatibility forms are folded and accents are joined to their letters."""
    assert unicodedata.is_normalized("NFKC", normalise(text))


@given(st.text(st.characters(categories=["L", "N", "P"]), min_size=1), st.data())
def test_invisible_characters_between_letters_change_nothing(text: str, data: st.DataObject) -> None:
    """A word with invisible characters slipped in is the same word."""
    at = data.draw(st.integers(0, len(text)))
    slipped = text[:at] + data.draw(st.sampled_from(INVISIBLE)) + text[at:]
    assert normalise(slipped) == normalise(text)


@pytest.mark.parametrize("character", INVISIBLE)
def test_a_text_of_invisible_characters_is_empty(character: str) -> None:
    """Invisible text normalises to the empty string, which is refused."""
    assert normalise(f" {character}{character}\n") == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  two\t\n words \u00a0 here ", "two words here"),
        ("ｆｏｏｌ", "fool"),
        ("𝓯𝓸𝓸𝓵", "fool"),
        ("fo\u200bol", "fool"),
        ("ﬁne", "fine"),
        ("e\u0301te\u0301", "été"),
        ("line\u2028break\x85here", "line break here"),
        ("Stay LOUD!!!", "Stay LOUD!!!"),
        ("İstanbul ılık", "İstanbul ılık"),
        ("❤\ufe0f", "❤"),
        ("👩\u200d🚒", "👩🚒"),
        ("", ""),
    ],
)
def test_examples(text: str, expected: str) -> None:
    """Spaces, widths, alphabets and accents are folded; case and punctuation stay."""
    assert normalise(text) == expected


@given(ANY_TEXT)
@example("e \u200b\u0301")
@example("a\u00b4b \u00a8 \u3000c")
@example("\u1112 \u1161\x1c\u11ab")
def test_words_are_the_normalised_text_with_places(text: str) -> None:
    """The joined normalised words equal the normalised text, and each word is at its position."""
    for version in NORMALISATION_VERSIONS:
        found = words(text, version)
        normalised = " ".join(word.normalised for word in found if word.normalised)
        assert normalised == normalise(text, version)
    for word in (found := words(text, 1)):
        assert normalise(text[word.begin : word.end], 1) == word.normalised
    assert "".join(text[word.begin : word.end] for word in found) == "".join(text.split())


@given(ANY_TEXT)
@example("\u3164\uffa0 \u200b")
def test_a_text_is_blank_if_its_normalised_form_is_empty(text: str) -> None:
    """Each character decides by itself."""
    assert is_blank(text) == (not normalise(text, 1)) == (not normalise(text, 2))


def test_words_of_version_2_lie_where_the_sender_put_them() -> None:
    """A word whose letters were apart reaches from its first letter to its last."""
    text = "you <b>i d i o t</b> &amp; me"
    found = {word.normalised: text[word.begin : word.end] for word in words(text, 2)}
    assert found == {"you": "you", "idiot": "i d i o t", "&": "&amp;", "me": "me"}
