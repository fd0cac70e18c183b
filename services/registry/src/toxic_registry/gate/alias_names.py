"""Names that an alias may have: one spelling each, no version's number, and none that looks like another.

Aliases of older databases keep their names and can be deleted; a name is checked when an alias is set.
"""

import unicodedata
from difflib import get_close_matches

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from toxic_core.registered import ALIASES
from toxic_core.text import normaliser

_CLOSE = 0.87
"""Similarity (Ratcliff and Obershelp's) from which a name counts as a slip for a reserved one."""

_plain = normaliser(2)


def check_name(alias: str) -> None:
    """Check the name of an alias that is to be set.

    Raises:
        MlflowException: it isn't in its canonical form (NFKC, case-folded, without white space and invisible
            characters), is a number, or resembles a reserved name; the message has the right one.
    """
    if alias in ALIASES:
        return
    folded = unicodedata.normalize("NFKC", alias).casefold()
    canonical = "".join(c for c in folded if unicodedata.category(c)[0] not in "CZ")
    looks = _plain(canonical).casefold()
    if close := get_close_matches(looks, ALIASES, n=1, cutoff=_CLOSE):
        problem = f"is too similar to the reserved alias {close[0]}; use that, or a name unlike it"
    elif canonical != alias:
        problem = f"isn't in its canonical form; use {canonical!r}"
    elif not any(c.isalpha() for c in alias):
        problem = "has no letter, so it could be read as a version's number; use a word"
    else:
        return
    raise MlflowException(f"The alias {alias!r} {problem}.", error_code=INVALID_PARAMETER_VALUE)
