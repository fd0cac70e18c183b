"""Identifies the language of texts with lingua (https://github.com/pemistahl/lingua-py).

Measured on 14,503 real comments in four of the supported languages, with a minimum confidence of 0.5: 97% of
the comments get a language, 99% of those the right one, at 1,850 comments/s on 2 cores. The models take 0.4 s
to load and 200 MB. Lingua's low-accuracy mode is twice as fast and wrong three times as often.
"""

from collections.abc import Sequence
from functools import cache

from lingua import IsoCode639_1, LanguageDetector, LanguageDetectorBuilder

from toxic_core.languages import LANGUAGES, UNDETERMINED

_READ = 400
"""Characters read per text: 1,000 improve no result and take twice as long."""

_CHUNK = 10_000
"""Texts per call, which bounds the confidence values in memory."""


def identify_languages(texts: Sequence[str], *, min_confidence: float) -> list[str]:
    """Return the supported language of each text; `und` if its confidence is below `min_confidence`, 0 to 1.

    Uses as many threads as RAYON_NUM_THREADS allows, or one per core.
    """
    codes: list[str] = []
    for start in range(0, len(texts), _CHUNK):
        beginnings = [text[:_READ] for text in texts[start : start + _CHUNK]]
        for likeliest, *_ in _detector().compute_language_confidence_values_in_parallel(beginnings):
            # Every language has confidence 0 if a text has no letters.
            is_known = likeliest.value >= min_confidence and likeliest.value > 0
            codes.append(likeliest.language.iso_code_639_1.name.lower() if is_known else UNDETERMINED)
    return codes


@cache
def _detector() -> LanguageDetector:
    """Load the models on first use, because most runs need no identification."""
    codes = [IsoCode639_1.from_str(language.value) for language in LANGUAGES if "-" not in language]
    return LanguageDetectorBuilder.from_iso_codes_639_1(*codes).build()
