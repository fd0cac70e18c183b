"""Identifies the language of a text: one of `LANGUAGES`, or `und`.

py3langid (https://github.com/adbar/py3langid) distinguishes 140 languages; a text in none of ours is `und`. A
classifier over hashed character n-grams recognises Hindi in Latin letters, which no library does. The models
take 80 MB and load in 0.5 s, with the first text; then a comment takes 0.1 ms.
"""

import copy
import math
import re
import unicodedata
from functools import cache
from importlib.resources import as_file, files
from string import ascii_lowercase
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from toxic_core.languages import LANGUAGES, UNDETERMINED, Language

WEIGHTS_FILE = "hindi_latin.npz"
"""`weights` by n-gram, int8 [buckets], and `threshold`; from `python -m toxic_training.data.hindi_latin`."""

BUCKET_BITS = 16
"""N-grams are hashed into 2 ** this many buckets."""

_READ = 300
"""Characters that are read: more don't improve the result."""

_FEW_WORDS = 2
"""So many different words in the default language's script are in that language."""

_SHORT = 50
"""Below so many characters, the default language is preferred a little."""

_PREFERENCE = 4.0
"""By how much, as a log-likelihood."""

_MARGIN = 0.2
"""If another language than ours is likelier by this log-likelihood per byte, the text is in none of ours."""

_SCRIPTS = frozenset(script for language in LANGUAGES for script in language.scripts)
_DOUBT, _CAUTION = 0.3, 3.0
"""The threshold of Hindi in Latin letters, 1, rises by 0.3 per unit of that evidence, by the share of the
likeliest of our languages, and by 3 over the square of the number of different words: to 4 for one word."""

_VARIETIES = {"arz": "ar", "ary": "ar", "yue": "zh", "wuu": "zh", "ms": "id"}
"""What is read as one of our languages: Arabic dialects, Cantonese, Wu, Malay."""

_ADDRESS = re.compile(r"(?:https?://|www\.|@)\S+")
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]{1,2}|[^\W\d_]\S*")
"""From a letter to the next space; in Chinese and Japanese, two characters."""

_TWO_LETTERS, _STOP = re.compile(r"[^\W\d_]{2}"), re.compile(r"[.,!?…。！？]")

_GREETING = re.compile(r"\b(?:hi|bye)\b", re.IGNORECASE)
"""English words that are no evidence, though they are Hindi words too."""

_LATIN, _DEVANAGARI = re.compile("[A-Za-z]"), re.compile("[\u0904-\u0939\u0958-\u0961]")

_SMALL_LETTERS = bytes(
    byte if byte in ascii_lowercase.encode() else ord(" " if chr(byte).isascii() else "#")
    for byte in bytes(range(256)).lower()
)
"""By byte of UTF-8: ASCII letters as small ones, `#` for a byte of another letter, else a space."""


@cache
def load_identifiers() -> tuple[LanguageIdentifier, LanguageIdentifier]:
    """Return the identifier of every language, and that of our own; they share one model."""
    every = LanguageIdentifier.from_model_file(MODEL_FILE)
    ours = copy.copy(every)
    ours.set_languages(set(LANGUAGES) - {Language.HINDI_LATIN})
    return every, ours


class Identified(NamedTuple):
    """A text's language.

    Attributes:
        language: one of `LANGUAGES`, or `und` if it is none of them.
        confidence: from 0 to 1; None if the text is too short to identify its language, or if it was stated.
    """

    language: str
    confidence: float | None = None


def identify_language(text: str, default: str = UNDETERMINED) -> str:
    """Return the language of a text; `identify` returns the confidence too."""
    return identify(text, default).language


def identify(text: str, default: str = UNDETERMINED) -> Identified:
    """Identify the language of a text.

    Args:
        text: a comment of any length.
        default: the language of texts without letters and of one or two words in its script, for which a
            guess would be noise; slightly longer texts need a little more evidence to be in another one.
    """
    # Letters in another form, as in mathematical bold, are the same letters.
    text = _ADDRESS.sub(" ", unicodedata.normalize("NFKC", text[:_READ])[:_READ])
    words = {_STOP.sub("", word.casefold()) for word in _words(text)}
    found_scripts = {
        unicodedata.name(letter, "?").split()[0] for word in words for letter in word if letter.isalpha()
    }
    own_scripts = Language(default if default in LANGUAGES else Language.ENGLISH).scripts
    # Of a word in two scripts, one is a disguise.
    is_short = not words or (len(words) <= _FEW_WORDS and not found_scripts.isdisjoint(own_scripts))
    evidence = _hindi_latin_evidence(_GREETING.sub(" ", text))
    threshold = 1 + _CAUTION / max(len(words), 1) ** 2
    if is_short and evidence <= threshold:
        return Identified(default)
    if _SCRIPTS.isdisjoint(found_scripts):
        return Identified(UNDETERMINED, 1.0)
    every, ours = load_identifiers()
    ranked = every.rank(text)
    found, likelihood = ranked[0]
    found, foreign = _VARIETIES.get(found, found), 0.0
    if found not in LANGUAGES or (found != default and len(text) < _SHORT):
        likelihoods = dict(ours.rank(text)) | ({found: likelihood} if found in LANGUAGES else {})
        if default in likelihoods:
            likelihoods[default] += _PREFERENCE
        found = max(likelihoods, key=lambda language: likelihoods[language])
        foreign = (likelihood - likelihoods[found]) / len(text.encode(errors="replace"))
        if foreign > _MARGIN:
            found = UNDETERMINED
    is_mixed = found == Language.HINDI and len(_LATIN.findall(text)) > 1.5 * len(_DEVANAGARI.findall(text))
    shares = _shares(ranked, size=len(text.encode(errors="replace")))
    evidence /= threshold + max(shares[each] for each in LANGUAGES) + _DOUBT * max(foreign, 0)
    if evidence > 1:
        return Identified(Language.HINDI_LATIN, _certainty(evidence))
    if is_short:
        return Identified(default)
    confidence = shares[found] if found != UNDETERMINED else 1 - sum(shares[each] for each in LANGUAGES)
    return Identified(Language.HINDI_LATIN if is_mixed else found, min(max(confidence, 0.0), 1.0))


def _shares(ranked: list[tuple[str, float]], *, size: int) -> dict[str, float]:
    """Return each language's share of the likelihood, tempered by a text's size in bytes, as in py3langid."""
    best = ranked[0][1]
    weights: dict[str, float] = dict.fromkeys(LANGUAGES, 0.0)
    for name, likelihood in ranked:
        language = _VARIETIES.get(name, name)
        weights[language] = weights.get(language, 0.0) + math.exp((likelihood - best) / math.sqrt(size))
    total = sum(weights.values())
    return {language: weight / total for language, weight in weights.items()}


def _certainty(evidence: float) -> float:
    """Return the confidence of evidence that is 1 at its threshold: one half there."""
    return evidence / (1 + evidence)


def has_words(text: str) -> bool:
    """Return whether a text has words, instead of only numbers, emoji and faces made of signs and letters."""
    return bool(_words(text))


def _words(text: str) -> list[str]:
    plain = " ".join(part for part in text.split() if not _is_face(part))
    return [word for word in _WORD.findall(plain) if word[0].isalpha()]


def _is_face(part: str) -> bool:
    """Return whether a part without spaces is a face: lone letters among more signs, or one repeated: `ಠ_ಠ`.

    Vowel signs and accents are no signs here, since they belong to letters.
    """
    if _TWO_LETTERS.search(part):
        return False
    letters = [letter for letter in part.casefold() if letter.isalpha()]
    signs = sum(unicodedata.category(sign)[0] in "PS" for sign in _STOP.sub("", part))
    repeated = len(letters) > 1 and len({*letters}) == 1
    return 0 < len(letters) < signs + 2 * repeated


def n_grams(text: str) -> npt.NDArray[np.uint32]:
    """Return the buckets of all sequences of two to four letters, spaces between words included."""
    words = text.encode(errors="replace").translate(_SMALL_LETTERS).split()
    letters = np.frombuffer(b" " + b" ".join(words) + b"  ", np.uint8).astype(np.uint32)
    pairs = letters[:-1] << 8 | letters[1:]
    triples = pairs[:-1] << 8 | letters[2:]
    grams = np.concatenate((pairs, triples, triples[:-1] << 8 | letters[3:]))
    # Multiplicative hashing: the product's upper bits.
    return grams * np.uint32(2_654_435_761) >> np.uint32(32 - BUCKET_BITS)


def _hindi_latin_evidence(text: str) -> float:
    """Return the evidence for Hindi in Latin letters; 1 is the threshold."""
    weights, threshold = _hindi_latin()
    grams = n_grams(text)
    return float(weights[grams].sum() / (threshold * math.sqrt(len(grams))))


@cache
def _hindi_latin() -> tuple[npt.NDArray[np.int8], float]:
    with as_file(files(__package__).joinpath(WEIGHTS_FILE)) as path, np.load(path) as arrays:
        return arrays["weights"], float(arrays["threshold"])
