"""Disguises comments as people do against filters, so that scores can be compared with the plain ones."""

import re
from collections.abc import Callable

import pandas as pd

from toxic_core.languages import Language
from toxic_training.data.comments import LANGUAGE, TEXT
from toxic_training.data.sample.disguise import dotted, spaced, stretched
from toxic_training.data.suites import GROUP
from toxic_training.evaluation.parameters import EvaluationParameters

_LATIN = {language for language in Language if language.scripts == ("LATIN",)}
_CONFUSABLE = str.maketrans(
    "aceopxyiABEHKMOPCTX",
    "\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0456"
    "\u0410\u0412\u0415\u041d\u041a\u041c\u041e\u0420\u0421\u0422\u0425",
)
"""Latin letters, and Cyrillic ones that look the same."""
_LEET = str.maketrans("aeiost", "431057")

WAYS: dict[str, Callable[[str], str]] = {
    "confusables": lambda word: word.translate(_CONFUSABLE),
    "leet": lambda word: word.translate(_LEET),
    "spacing": spaced,
    "dots": dotted,
    "repeats": stretched,
}
_LATIN_ONLY = ("confusables", "leet")
_WORD = re.compile(
    r"(?:[^\W\d_][\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0900-\u0903\u093a-\u094f\u0e31-\u0e4e]*){3,}"
)
"""A word of three letters and more, which is worth a disguise; with the marks on its letters."""

PLAIN = "plain"
"""Column of the position of a disguised comment's plain one in its table, from 0."""


def disguise_comments(comments: pd.DataFrame, parameters: EvaluationParameters) -> pd.DataFrame:
    """Return some of `comments` once for each way that changes them, with the way in `group`.

    Every word of three letters and more is disguised: which ones matter depends on the language. Letters are
    exchanged in languages of Latin script alone. The other columns stay.
    """
    most = min(parameters.disguised_comments, len(comments))
    numbered = comments.assign(**{PLAIN: range(len(comments))})
    chosen = numbered.sample(most, random_state=parameters.seed)
    latin = chosen[LANGUAGE].isin(_LATIN)
    parts = [
        rows.assign(**{TEXT: rows[TEXT].map(lambda text, way=way: _each_word(text, way))}).assign(
            **{GROUP: name}
        )
        for name, way in WAYS.items()
        for rows in [chosen[latin] if name in _LATIN_ONLY else chosen]
    ]
    disguised = pd.concat(parts, ignore_index=True)
    plain = comments[TEXT].iloc[disguised[PLAIN]].to_numpy()
    changed: pd.DataFrame = disguised[disguised[TEXT].to_numpy() != plain].reset_index(drop=True)
    return changed


def _each_word(text: str, way: Callable[[str], str]) -> str:
    # Wider spaces between words tell them from the letters.
    return _WORD.sub(lambda word: way(word[0]), text.replace(" ", "   ") if way is spaced else text)
