"""The languages that the models are trained and evaluated for, by ISO 639-1 code."""

from enum import StrEnum


class Language(StrEnum):
    """A supported language; the seven of the Jigsaw multilingual data."""

    ENGLISH = "en"
    SPANISH = "es"
    FRENCH = "fr"
    ITALIAN = "it"
    PORTUGUESE = "pt"
    RUSSIAN = "ru"
    TURKISH = "tr"


LANGUAGES: tuple[Language, ...] = tuple(Language)

ANY_LANGUAGE = "*"
"""Key of the values that hold where a language has none of its own."""
