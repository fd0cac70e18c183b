"""Lists of words and patterns, which RE2 matches at once and in linear time."""

import re
from functools import lru_cache

import re2

from toxic_core.text import is_blank, normaliser

_MAX_BYTES = 256 << 20
_BREAKS = (
    r"\s!-/:-@\[-^`{-~"
    "\u00a1-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u2000-\u206f\u2190-\u2bff"
    "\u3000-\u303f\U0001f000-\U0001faff"
)
"""What separates words, in a character class: white space, punctuation, symbols. Marks are parts of words."""
_WORD = re.compile(f"[^{_BREAKS}]+")
_OTHER = f"[{_BREAKS}]"


class Matcher:
    """Finds whether a text contains one of the words or patterns.

    Args:
        words: whole words, in any case.
        patterns: RE2 expressions, in any case.
        normalisation: version of the text normalisation that words and texts get.

    Raises:
        ValueError: a word is blank, a pattern isn't RE2's, or the list takes too much memory.
    """

    def __init__(self, words: tuple[str, ...], patterns: tuple[str, ...], normalisation: int) -> None:
        self._normalise = normaliser(normalisation)
        if blank := next((word for word in words if is_blank(word)), None):
            raise ValueError(f"the word {blank!r} is blank; remove it")
        read = [self._normalise(word).casefold() for word in words]
        found = {word: _WORD.findall(word) for word in read}
        self._words = frozenset(parts[0] for parts in found.values() if len(parts) == 1)
        phrases = [
            f"(?:^|{_OTHER})" + f"{_OTHER}+".join(map(re.escape, parts)) + f"(?:$|{_OTHER})"
            for parts in found.values()
            if len(parts) > 1
        ]
        # Emoji and other symbols aren't words; they match anywhere.
        symbols = [re.escape(word) for word, parts in found.items() if not parts]
        self._set = _compile((*phrases, *symbols, *patterns))

    def __call__(self, text: str) -> bool:
        """Return whether a text contains one of them."""
        read = self._normalise(text)
        # No word is in an empty set, so that a list of patterns alone costs no search for words.
        if self._words and not self._words.isdisjoint(_WORD.findall(read.casefold())):
            return True
        return bool(self._set.Match(read))


@lru_cache(maxsize=256)
def _compile(patterns: tuple[str, ...]) -> re2.Set:
    """Return the automaton of patterns; of a list that an edit of the file doesn't change, the same one."""
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = _MAX_BYTES
    compiled = re2.Set.SearchSet(options)
    for pattern in patterns:
        try:
            compiled.Add(pattern)
        except re2.error as error:
            raise ValueError(f"{pattern!r} isn't a pattern of RE2: {error}") from error
    try:
        compiled.Compile()
    except re2.error as error:
        raise ValueError("the patterns take too much memory; write fewer or shorter ones") from error
    return compiled
