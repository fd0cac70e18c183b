"""The languages of training and evaluation, by ISO 639-1 code."""

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
