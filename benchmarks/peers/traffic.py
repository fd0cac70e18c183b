"""What is sent: generated comments as long as Jigsaw's.

Owns the length distribution, measured once over 5,000 comments of the English training file with the
shipped tokenizer, special tokens included; only its quantiles are kept. Invariant: the same seed gives the
same texts, and none of them is anybody's comment.
"""

import random

import numpy as np

from toxic_core.tokens import Tokeniser

_SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_TOKENS = (4, 11, 14, 22, 30, 39, 51, 67, 89, 126, 208, 305, 867)
"""The quantiles; longer texts are cut at the last one, far beyond the model's input."""

_SENTENCES = (
    "the article you wrote is not very good please read it again before asking why they removed your page",
    "la página que has escrito no está bien porque faltan fuentes y hay errores",
    "ce que les autres ont dit est autre chose mais je ne suis pas d'accord non plus",
    "non è molto buona questa voce e penso che si possa scrivere meglio",
    "acho que sim mas também falta uma parte sobre a cidade",
    "это хорошая статья но мне кажется нужно больше источников",
    "bu sayfa çok güzel ama biraz daha kaynak gerek",
)
_WORDS = tuple(word for sentence in _SENTENCES for word in sentence.split())


def comments(count: int, *, tokeniser: Tokeniser, seed: int = 1) -> list[str]:
    """Return generated comments with token lengths drawn from the distribution.

    Args:
        count: how many.
        tokeniser: measures them; it must not cut below the longest.
        seed: of lengths and words.
    """
    rng = random.Random(seed)  # noqa: S311  words, not secrets
    lengths = [int(np.interp(rng.random() * _SHARES[-1], _SHARES, _TOKENS)) for _ in range(count)]
    words = [rng.choices(_WORDS, k=length) for length in lengths]
    # A word is a token or more: cut each text to the words that its length has room for.
    sizes = {word: len(ids) - 2 for word, ids in zip(_WORDS, tokeniser.token_ids(_WORDS), strict=True)}
    return [_cut(chosen, sizes=sizes, room=length - 2) for chosen, length in zip(words, lengths, strict=True)]


def _cut(words: list[str], *, sizes: dict[str, int], room: int) -> str:
    kept = words[:1]
    used = sizes[words[0]]
    for word in words[1:]:
        used += sizes[word]
        if used > room:
            break
        kept.append(word)
    return " ".join(kept)
