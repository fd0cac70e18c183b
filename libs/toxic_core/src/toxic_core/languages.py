"""The languages that models are trained for, and the language codes that tables may contain.

A language added to `Language` joins the generated sample, language identification, warm-up texts, vocabulary
pruning and the contract of every new model; the sample also needs its phrase file.
"""

import re
from enum import StrEnum


class Language(StrEnum):
    """A supported language, by ISO 639-1 code: the seven of the Jigsaw multilingual data."""

    ENGLISH = "en"
    SPANISH = "es"
    FRENCH = "fr"
    ITALIAN = "it"
    PORTUGUESE = "pt"
    RUSSIAN = "ru"
    TURKISH = "tr"

    @property
    def script(self) -> str:
        """The script of its letters, as the first word of their Unicode names."""
        return _OTHER_SCRIPTS.get(self, "LATIN")


_OTHER_SCRIPTS = {Language.RUSSIAN: "CYRILLIC"}
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
) | {UNDETERMINED}
"""The codes of ISO 639-1, and `und`."""

LANGUAGE_CODE = "[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8}){0,3}"
"""Pattern of a language code (BCP 47), with hyphens or underscores."""

_CODE = re.compile(LANGUAGE_CODE)


def primary_language(code: str) -> str | None:
    """Return a language code's primary subtag in lower case, `pt` for `pt-BR`; None if it is not a code."""
    return re.split("[-_]", code, maxsplit=1)[0].lower() if _CODE.fullmatch(code) else None
