"""How sample comments are chosen and disguised."""

import string
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toxic_core.languages import Language
from toxic_core.text import normalise
from toxic_training.data.sample import disguise as d
from toxic_training.data.sample.dice import Dice

pytestmark = pytest.mark.slow

# The time of an example depends more on the machine's other work than on the code.
patient = settings(deadline=None)

WORDS = st.text(string.ascii_lowercase, min_size=3, max_size=12)


def test_a_seed_gives_the_same_choices_on_every_python() -> None:
    """The stream of choices is fixed, because a change would change the sample."""
    dice = Dice("a seed")
    assert [dice.below(100) for _ in range(8)] == [39, 3, 76, 40, 87, 90, 67, 1]


@given(st.lists(st.integers()), st.text(max_size=5))
@patient
def test_shuffling_keeps_every_item(items: list[int], seed: str) -> None:
    """A shuffled list has the same items, and the original is unchanged."""
    before = list(items)
    assert sorted(Dice(seed).shuffled(items)) == sorted(before)
    assert items == before


@given(st.text(max_size=5))
@patient
def test_a_weight_of_zero_is_never_chosen(seed: str) -> None:
    """Weighted choices follow their weights."""
    dice = Dice(seed)
    assert {dice.weighted([("never", 0.0), ("always", 1.0)]) for _ in range(50)} == {"always"}


def test_weights_set_the_shares() -> None:
    """A weight three times as large is chosen about three times as often."""
    dice = Dice("shares")
    chosen = [dice.weighted([("often", 3.0), ("seldom", 1.0)]) for _ in range(4000)]
    assert 0.72 < chosen.count("often") / len(chosen) < 0.78


@pytest.mark.parametrize("way", [d.split_invisibly, d.full_width])
@given(word=WORDS)
@patient
def test_normalisation_removes_invisible_disguises(way: Callable[[str], str], word: str) -> None:
    """Normalisation removes zero-width characters and full-width letters."""
    assert way(word) != word
    assert normalise(way(word)) == normalise(word)


@pytest.mark.parametrize("way", [d.spaced, d.dotted, d.starred, d.stretched])
@given(word=WORDS)
@patient
def test_the_first_normalisation_keeps_visible_disguises(way: Callable[[str], str], word: str) -> None:
    """Disguises of visible characters stay, with the first and last letter in place."""
    disguised = normalise(way(word), 1)
    assert disguised != word
    assert (disguised[0], disguised[-1]) == (word[0], word[-1])


@pytest.mark.parametrize("way", [d.spaced, d.dotted])
@given(word=WORDS.filter(lambda word: len(word) > 3))
@patient
def test_the_second_normalisation_joins_letters(way: Callable[[str], str], word: str) -> None:
    """Letters apart are the word again."""
    assert normalise(way(word)) == normalise(word)


def test_the_second_normalisation_shortens_stretched_letters() -> None:
    """At most two of a letter stay."""
    assert normalise(d.stretched("fool")) == "fool"


def test_only_the_last_word_is_disguised() -> None:
    """Articles before an insult stay readable."""
    disguised = {d.disguise("a fool", leet={"o": "0"}, dice=Dice(str(seed))) for seed in range(30)}
    assert all(text.startswith("a ") and text != "a fool" for text in disguised)
    assert "a f00l" in disguised
    assert "a f**l" in disguised


@pytest.mark.parametrize("word", ["fool", "笨蛋", "バカ", "바보", "غبي", "मूर्ख"])
def test_a_disguise_shows_in_every_script(word: str) -> None:
    """Ways that leave a word unchanged, as digits for letters leave a Chinese one, aren't chosen."""
    assert word not in {d.disguise(word, leet={"o": "0"}, dice=Dice(str(seed))) for seed in range(30)}


def test_marks_stay_with_their_letter() -> None:
    """Vowel signs of Devanagari follow their consonant, in disguises and in typing slips."""
    assert d.spaced("मूर्ख") == "मू र् ख"
    assert d.starred("मूर्ख") == "मू*ख"
    assert d.stretched("मूर्ख") == "मू" + "र" * 4 + "र्ख"
    assert d.split_invisibly("मूर्ख") == "मू\u200bर्ख"
    assert {d.mistyped("मूर्ख", dice=Dice(str(seed))) for seed in range(9)} == {"र्मूख", "मूखर्"}


def test_turkish_has_its_own_capitals() -> None:
    """Dotted and dotless i keep their kind, so that capitals don't change the word."""
    assert d.shouted("iyi", language=Language.TURKISH) == "İYİ"
    assert d.lowered("İYİ", language=Language.TURKISH) == "iyi"
    assert d.lowered("KIRIK", language=Language.TURKISH) == "k\u0131r\u0131k"
    assert d.capitalised("iki gün", language=Language.TURKISH) == "İki gün"
    assert d.shouted("iyi", language=Language.ITALIAN) == "IYI"


@given(st.text(max_size=40), st.text(max_size=5))
@patient
def test_a_typing_slip_loses_no_character(text: str, seed: str) -> None:
    """A slip swaps two letters of any text and drops none."""
    assert sorted(d.mistyped(text, dice=Dice(seed))) == sorted(text)
