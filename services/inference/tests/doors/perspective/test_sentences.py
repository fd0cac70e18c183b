"""The parts of a text that have scores of their own."""

import pytest

from toxic_inference.doors.perspective.sentences import MAX_SENTENCES, sentences_of


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One.", ["One."]),
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ('He said "no." Then left.', ['He said "no."', "Then left."]),
        ("1.5 is a number", ["1.5 is a number"]),
        ("one\n\n two \n", ["one", "two"]),
        ("これは。あれ", ["これは。", "あれ"]),
        ("wait... what", ["wait...", "what"]),
        ("!!! \u200b\n x", ["!!!", "x"]),
    ],
)
def test_sentences(text: str, parts: list[str]) -> None:
    """They end as a reader would end them, and invisible text is not a sentence."""
    assert [sentence.text for sentence in sentences_of(text)] == parts


def test_sentences_are_bounded() -> None:
    """The last takes the rest, so that spans can't fill the queue."""
    found = sentences_of("no. " * 1_000)
    assert len(found) == MAX_SENTENCES
    assert found[-1].end == 3_999


def test_sentences_of_a_hostile_text_take_no_time() -> None:
    """A run of closing characters is read once: twice the length, about twice the work."""
    assert len(sentences_of("." * 20_000 + "x")) == 1
