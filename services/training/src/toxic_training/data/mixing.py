"""What decides about a text's set: what makes two texts the same, its pseudo-random numbers, and shares.

Texts that differ only in what normalisation version 1 removes are the same. The draws, and so the held-out
comments, must never change: figures are compared over years.
"""

import hashlib
from collections.abc import Sequence

import pandas as pd

from toxic_core.text import normaliser

_visible = normaliser(1)

TEST = "test"
VALIDATION = "validation"
TRAIN = "train"


def visible(texts: pd.Series) -> pd.Series:
    """Return what is compared of each text."""
    return texts.map(_visible)


def are_in(texts: pd.Series, others: pd.Series) -> pd.Series:
    """Return which of `texts` occur among `others`."""
    return visible(texts).isin(set(visible(others)))


def equal_shares(sizes: Sequence[int], total: int) -> list[int]:
    """Return as many of each group as sum to `total`, equally many of the groups that are cut."""
    left, shares = total, [0] * len(sizes)
    for rank, index in enumerate(sorted(range(len(sizes)), key=sizes.__getitem__)):
        shares[index] = min(sizes[index], left // (len(sizes) - rank))
        left -= shares[index]
    return shares


def draws(visible_texts: pd.Series, *, salt: str) -> pd.Series:
    """Return a pseudo-random number in [0, 1) for each text, from what is visible of it and `salt` alone."""

    def draw(text: str) -> float:
        digest = hashlib.blake2b(f"{salt}\n{text}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) / 2**64

    return visible_texts.map(draw).astype(float)
