"""Tests of language identification."""

import csv
from pathlib import Path

import pytest

from toxic_core.languages import UNDETERMINED
from toxic_model.identification import has_words, identify, identify_language

FOREIGN = Path(__file__).with_name("foreign_texts.csv")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Have a lovely day, my friend.", "en"),
        ("Que tengas un buen día, amigo mío.", "es"),
        ("Passe une bonne journée, mon ami.", "fr"),
        ("Ti auguro una buona giornata, amico mio.", "it"),
        ("Tenha um bom dia, meu amigo. Você é gentil.", "pt"),
        ("Хорошего тебе дня, друг мой.", "ru"),
        ("İyi günler dilerim dostum.", "tr"),
        ("Ich wünsche dir einen schönen Tag, mein Freund.", "de"),
        ("Ik wens je een fijne dag, mijn vriend.", "nl"),
        ("Życzę ci miłego dnia, mój przyjacielu.", "pl"),
        ("Přeji ti hezký den, můj příteli.", "cs"),
        ("Jag önskar dig en trevlig dag, min vän.", "sv"),
        ("Бажаю тобі гарного дня, мій друже.", "uk"),
        ("أتمنى لك يوما سعيدا يا صديقي العزيز", "ar"),
        ("आपका दिन शुभ हो, मेरे प्यारे दोस्त।", "hi"),
        ("Aapka din bahut accha ho, mere pyaare dost.", "hi-Latn"),
        ("yaar kal movie dekhne chalte hain kya", "hi-Latn"),
        ("Bahut accha video hai, keep it up bhai, ऐसे ही", "hi-Latn"),
        ("祝你今天过得愉快，我的朋友。", "zh"),
        ("今日も良い一日をお過ごしください。", "ja"),
        ("오늘도 좋은 하루 보내세요, 친구.", "ko"),
        ("Semoga harimu menyenangkan, temanku yang baik.", "id"),
        ("bonjour à tous, mes amis " * 1_000, "fr"),
        ("@someone_else https://example.org/en/page grazie mille per la spiegazione", "it"),
    ],
)
def test_each_language_is_identified(text: str, language: str) -> None:
    """Addresses and the default language don't matter if a text has several words."""
    assert identify_language(text) == identify_language(text, "en") == language


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("Que tengas un buen día, amigo mío.", 0.5, 1.0),
        ("आपका दिन शुभ हो, मेरे प्यारे दोस्त।", 0.3, 0.9),
        ("yaar kal movie dekhne chalte hain kya", 0.5, 1.0),
        ("Hyvää päivänjatkoa ystävälleni, nähdään huomenna taas täällä kahvilassa.", 0.5, 1.0),
        ("ქართული ენა", 1.0, 1.0),
    ],
)
def test_identification_has_a_confidence(text: str, least: float, most: float) -> None:
    """From 0 to 1, also that a text is in none of the languages."""
    confidence = identify(text).confidence
    assert confidence is not None
    assert least <= confidence <= most


@pytest.mark.parametrize("text", ["12 34", "hello"])
def test_an_assumed_language_has_no_confidence(text: str) -> None:
    """Texts without letters and of one or two words are in the default language, which is a guess."""
    assert identify(text, "en") == ("en", None)


def test_unsupported_languages_are_undetermined() -> None:
    """At least nine in ten texts in each of six languages and any script."""
    with FOREIGN.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    missed = {row["lang"]: 0 for row in rows}
    for row in rows:
        missed[row["lang"]] += identify_language(row["comment_text"], "en") != UNDETERMINED
    assert {language: count for language, count in missed.items() if count > 3} == {}


@pytest.mark.parametrize(
    "text",
    [
        "12345 👍",
        ":) !!!",
        "",
        "gg",
        "hello",
        "ok lol",
        "hi",
        "Bye bye!",
        "bad kid",
        "say hi",
        "(ノ_<。)",
        "(°Д°) !!",
        "(ಠ_ಠ)",
        "ಠ_ಠ",
        "hello (>_ツ)",
    ],
)
def test_texts_without_evidence_have_the_default_language(text: str) -> None:
    """Without letters, or one or two words; without a default language they are undetermined."""
    assert [identify_language(text, default) for default in ("en", "it", "hi-Latn")] == [
        "en",
        "it",
        "hi-Latn",
    ]
    assert identify_language(text) == UNDETERMINED


@pytest.mark.parametrize(
    ("text", "default", "language"),
    [
        ("привет", "en", "ru"),
        ("привіт друже", "uk", "uk"),
        ("안녕하세요", "en", "ko"),
        ("shukriya bhai", "en", "hi-Latn"),
        ("谢谢", "ja", "ja"),
        ("今天天气很好我们去公园散步吧", "ja", "zh"),
    ],
)
def test_strong_evidence_outweighs_the_default_language(text: str, default: str, language: str) -> None:
    """One or two words are in the default language only if their letters are; clear Hindi is not."""
    assert identify_language(text, default) == language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("hi how are you", "en"),
        ("hi guys bye", "en"),
        ("so bad man", "en"),
        ("ha ha ha", "en"),
        ("che hai fatto", "it"),
        ("kya baat hai", "hi-Latn"),
        ("tu pagal hai", "hi-Latn"),
    ],
)
def test_few_words_are_hindi_only_with_clear_evidence(text: str, language: str) -> None:
    """Short texts share many syllables with Hindi in Latin letters."""
    assert identify_language(text, "en") == language


@pytest.mark.parametrize(
    "text",
    [
        "ｆｕｌｌ ｗｉｄｔｈ ｉｓ ｓｏ ｎｉｃｅ",
        "𝐲𝐨𝐮 𝐚𝐫𝐞 𝐬𝐨 𝐤𝐢𝐧𝐝 𝐭𝐨𝐝𝐚𝐲",
        "frіеnd",
        "α β γ you are a good friend",
    ],
)
def test_letters_in_disguise_are_still_letters(text: str) -> None:
    """Full width, mathematical bold, a Cyrillic letter in a Latin word, and Greek ones before a sentence."""
    assert identify_language(text, "en") == "en"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(°Д°)", False),
        ("¯(ツ)¯ 12", False),
        ("O_o", False),
        ("ಠ_ಠ", False),
        *((word, True) for word in ("a_b", "x-y", "o/", "I'm", "में", "ಕಿಕಿ", "ಕೇಂ", "ನೀವು ತುಂಬಾ ಒಳ್ಳೆಯವರು")),
        ("好!!", True),
        ("a", True),
        ("(ツ) ok", True),
    ],
)
def test_faces_are_no_words(text: str, expected: bool) -> None:  # noqa: FBT001  a parameter of the test
    """Letters among signs don't tell a language; a single letter or character is a word."""
    assert has_words(text) is expected


def test_unreadable_characters_are_no_error() -> None:
    """Lone surrogates and unknown scripts are accepted."""
    assert identify_language("have a nice \ud800 day today") == "en"
    assert identify_language("ᎣᏏᏲ ᏙᎯᏧ ᎤᎵᎮᎵᏍᏗ ᎠᏂ", "en") == UNDETERMINED
