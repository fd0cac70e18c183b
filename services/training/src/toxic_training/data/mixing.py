"""Assigns cleaned comments to the training, validation and test sets.

Invariant: a text is in one set only, and the set depends on the text and the parameters alone, not on other
rows or their order, so that the figures of two runs are about the same comments. Texts that differ only in
what normalisation version 1 removes are the same.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from toxic_core.text import normaliser
from toxic_training.data.comments import LABEL_COLUMNS, LANGUAGE, ORIGIN, SOURCE, TEXT, Counts
from toxic_training.data.parameters import SourceParameters

_MAJORITY = 0.5
_MOST_REPEATS = 4
_visible = normaliser(1)

TEST = "test"
VALIDATION = "validation"
TRAIN = "train"


def keep_first_of_each_text(comments: pd.DataFrame) -> tuple[pd.DataFrame, Counts]:
    """Return the comments with every text once, from the first source that contains it.

    If the rows of a text within its source disagree about a label, the majority decides; a tie counts as 1.
    Of shares between 0 and 1 it is the mean.
    Labels from later sources are ignored.

    Returns:
        The comments, and per source the number of rows dropped as duplicates within it, of rows dropped as
        leaked from an earlier source, and of texts with conflicting labels, within the source or against the
        earlier one.
    """
    texts = comments[TEXT].map(_visible)
    repeated = comments[texts.duplicated(keep=False)]
    stated = repeated.groupby(texts)[LABEL_COLUMNS].transform("first")
    labels = repeated[LABEL_COLUMNS]
    conflicts = (labels.notna() & (labels != stated)).any(axis=1).reindex(comments.index, fill_value=False)
    again = texts.duplicated()
    keys = pd.DataFrame({SOURCE: comments[SOURCE], TEXT: texts})
    within = keys.duplicated()
    counts: Counts = {}
    for source in comments[SOURCE].unique():
        own = comments[SOURCE] == source
        counts[f"dropped.{source}.duplicate"] = int((own & within).sum())
        counts[f"dropped.{source}.leaked"] = int((own & again & ~within).sum())
        counts[f"conflicting.{source}"] = int(texts[own & conflicts].nunique())
    # The majority of each text's rows within a source.
    rows = keys.duplicated(keep=False)
    own = comments.loc[rows, LABEL_COLUMNS]
    group = [comments[SOURCE][rows], texts[rows]]
    share = own.groupby(group).transform("mean")
    is_hard = (own.isna() | own.isin([0, 1])).groupby(group).transform("all")
    decided = (share >= _MAJORITY).astype("float32").where(share.notna())
    majority = comments.copy()
    majority.loc[rows, LABEL_COLUMNS] = decided.where(is_hard, share)
    return majority[~again].reset_index(drop=True), counts


def are_in(texts: pd.Series, others: pd.Series) -> pd.Series:
    """Return which of `texts` occur among `others`."""
    return texts.map(_visible).isin(set(others.map(_visible)))


def divide(
    comments: pd.DataFrame, parameters: SourceParameters, *, source: str
) -> tuple[pd.DataFrame, pd.DataFrame, Counts]:
    """Divide one source's comments into training and validation; also return how many were thinned out."""
    texts = comments[TEXT].map(_visible)
    # Two rules for historical reasons: figures stay comparable only if the held-out comments stay the same.
    if source == VALIDATION:
        is_training = _draw(texts, salt="validation") < parameters.train_fraction
    else:
        is_training = _draw(texts, salt="holdout") >= 1 - parameters.train_fraction
    training = thinned = comments[is_training]
    if parameters.non_toxic_per_toxic is not None:
        toxic = training[LABEL_COLUMNS].max(axis=1) >= _MAJORITY
        rank = _draw(texts[is_training], salt="thinning").where(~toxic).rank(method="first")
        thinned = training[toxic | (rank <= int(toxic.sum() * parameters.non_toxic_per_toxic))]
    thinned = _limited(thinned, parameters)
    return thinned, comments[~is_training], {f"dropped.{source}.thinned": len(training) - len(thinned)}


def tempered(training: pd.DataFrame, temperature: float) -> pd.DataFrame:
    """Return as many rows of each language and source as their number to the power of `temperature`.

    The total stays, unless small groups would have to be repeated too often.
    """
    if temperature == 1 or training.empty:
        return training
    groups = [np.asarray(rows) for rows in training.groupby([LANGUAGE, SOURCE]).indices.values()]
    wanted = np.array([len(group) for group in groups], np.float64) ** temperature
    rank = _draw(training[TEXT].map(_visible), salt="temperature").to_numpy()
    kept: list[NDArray[np.int64]] = []
    for group, count in zip(groups, np.rint(wanted * len(training) / wanted.sum()), strict=True):
        whole, rest = divmod(min(int(count), _MOST_REPEATS * len(group)), len(group))
        kept += [group] * whole + [group[np.argsort(rank[group])[:rest]]]
    return training.iloc[np.concatenate(kept)].reset_index(drop=True)


def equal_shares(sizes: Sequence[int], total: int) -> list[int]:
    """Return as many of each group as sum to `total`, equally many of the groups that are cut."""
    left, shares = total, [0] * len(sizes)
    for rank, index in enumerate(sorted(range(len(sizes)), key=sizes.__getitem__)):
        shares[index] = min(sizes[index], left // (len(sizes) - rank))
        left -= shares[index]
    return shares


def _limited(training: pd.DataFrame, parameters: SourceParameters) -> pd.DataFrame:
    """Return at most the wanted rows of each language, in equal shares of its origins."""
    kept = [training.iloc[:0]]
    for language, rows in training.groupby(LANGUAGE):
        most = parameters.rows_of.get(str(language), parameters.rows_per_language)
        origins = [group for _, group in rows.groupby(ORIGIN)]
        sizes = [len(group) for group in origins]
        shares = sizes if most is None else equal_shares(sizes, most)
        for group, share in zip(origins, shares, strict=True):
            rank = _draw(group[TEXT].map(_visible), salt="limit").rank(method="first")
            kept.append(group[rank <= share])
    return training.loc[pd.concat(kept).index.sort_values()]


def _draw(texts: pd.Series, *, salt: str) -> pd.Series:
    """Return a pseudo-random number in [0, 1) for each text, from the text and `salt` alone."""

    def draw(text: str) -> float:
        digest = hashlib.blake2b(f"{salt}\n{text}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) / 2**64

    return texts.map(draw).astype(float)
