"""One normalisation for training and serving.

Invariant: `normalise` is idempotent, and any change of what it returns raises `NORMALISATION_VERSION`, which
`contract.json` records: a model is never served text that was cleaned differently from its training text.
"""

import re
import unicodedata

NORMALISATION_VERSION = 1

# Not "Cn": which code points are unassigned differs between Python versions.
_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Co", "Cs"})
_WHITESPACE = re.compile(r"\s+")


def normalise(text: str) -> str:
    """Return `text` as models see it: compatibility forms folded, invisible characters gone, spaces single.

    Unicode NFKC (UAX #15) folds full-width and "mathematical" letters to plain ones, and zero-width
    characters are removed, because both serve to slip words past filters. Case and punctuation carry
    meaning here and stay. The result is empty where the text holds nothing visible.
    """
    folded = unicodedata.normalize("NFKC", _WHITESPACE.sub(" ", text))
    visible = "".join(c for c in folded if unicodedata.category(c) not in _INVISIBLE_CATEGORIES)
    # Removing a character can bring a letter and its accent together, hence the second pass.
    return _WHITESPACE.sub(" ", unicodedata.normalize("NFKC", visible)).strip()
