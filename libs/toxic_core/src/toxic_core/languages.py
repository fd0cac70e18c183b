"""The languages that models are trained for, and the language codes that tables may contain.

A language added to `Language` joins the generated sample, language identification, warm-up texts, vocabulary
pruning and the contract of every new model; the sample also needs its phrase file.
"""

import re
from enum import StrEnum


class Language(StrEnum):
    """A supported language: its ISO 639-1 code, with a script if it has two of them (BCP 47)."""

    ENGLISH = "en"
    SPANISH = "es"
    FRENCH = "fr"
    ITALIAN = "it"
    PORTUGUESE = "pt"
    RUSSIAN = "ru"
    TURKISH = "tr"
    GERMAN = "de"
    DUTCH = "nl"
    POLISH = "pl"
    CZECH = "cs"
    SWEDISH = "sv"
    UKRAINIAN = "uk"
    ARABIC = "ar"
    HINDI = "hi"
    HINDI_LATIN = "hi-Latn"
    CHINESE = "zh"
    JAPANESE = "ja"
    KOREAN = "ko"
    INDONESIAN = "id"

    @property
    def scripts(self) -> tuple[str, ...]:
        """The scripts of its letters, as the first words of their Unicode names."""
        return _OTHER_SCRIPTS.get(self, ("LATIN",))


_OTHER_SCRIPTS = {
    Language.RUSSIAN: ("CYRILLIC",),
    Language.UKRAINIAN: ("CYRILLIC",),
    Language.ARABIC: ("ARABIC",),
    Language.HINDI: ("DEVANAGARI",),
    Language.CHINESE: ("CJK",),
    Language.JAPANESE: ("CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"),
    Language.KOREAN: ("HANGUL",),
}
"""The scripts of languages that aren't written in Latin letters."""

LANGUAGES: tuple[Language, ...] = tuple(Language)

ANY_LANGUAGE = "*"
"""Key of the values for languages that have none of their own."""

UNDETERMINED = "und"
"""ISO 639-2's code for an unknown language."""

KNOWN_LANGUAGES = frozenset(
    """
    aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da
    de dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz
    ia id ie ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln
    lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi
    pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti
    tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
    """.split()  # noqa: SIM905 - 184 words are easier to read than a list of them
) | {UNDETERMINED, *LANGUAGES}
"""The codes of ISO 639-1, those of the supported languages, and `und`."""

LANGUAGE_CODE = "[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8}){0,3}"
"""Pattern of a language code (BCP 47), with hyphens or underscores."""

_CODE = re.compile(LANGUAGE_CODE)


def primary_language(code: str) -> str | None:
    """Return the language of a code as models know it, `pt` for `pt-BR`; None if it is not a code.

    That is the primary subtag in lower case, and the script if the two together are a supported language:
    `hi-Latn` for `hi_LATN-IN`, but `zh` for `zh-Hans`.
    """
    if not _CODE.fullmatch(code):
        return None
    primary, *others = re.split("[-_]", code)
    with_script = {f"{primary.lower()}-{other.title()}" for other in others}
    return next((language for language in LANGUAGES if language in with_script), primary.lower())
