"""The languages of training and evaluation, by ISO 639-1 code."""

import re
from enum import StrEnum


class Language(StrEnum):
    """A supported language: one of the seven in the Jigsaw multilingual data."""

    ENGLISH = "en"
    SPANISH = "es"
    FRENCH = "fr"
    ITALIAN = "it"
    PORTUGUESE = "pt"
    RUSSIAN = "ru"
    TURKISH = "tr"


LANGUAGES: tuple[Language, ...] = tuple(Language)

ANY_LANGUAGE = "*"
"""Key of the values for languages without their own."""

LANGUAGE_CODE = "[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8}){0,3}"
"""Pattern of a language code (BCP 47), with hyphens or underscores."""

_CODE = re.compile(LANGUAGE_CODE)


def primary_language(code: str) -> str | None:
    """Return a language code's primary subtag in lower case, `pt` for `pt-BR`; None if it is not a code."""
    return re.split("[-_]", code, maxsplit=1)[0].lower() if _CODE.fullmatch(code) else None
