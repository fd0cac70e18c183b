"""What is trained on, what is validated on and what is tested on.

Owns the separation of cleaned comments: one text in one set only, and how much of each source a pass over the
training comments shows.

Invariant: which set a comment belongs to depends on its text and the parameters alone, never on its
neighbours or the order of rows, so that figures of two runs are about the same comments.
"""

import hashlib

import pandas as pd

from toxic_training.data.comments import LABEL_COLUMNS, SOURCE, TEXT
from toxic_training.data.parameters import SourceParameters
from toxic_training.data.tables import Counts

_MAJORITY = 0.5

TEST = "test"
VALIDATION = "validation"
TRAIN = "train"


def keep_first_of_each_text(comments: pd.DataFrame) -> tuple[pd.DataFrame, Counts]:
    """Return the comments with every text once, from the first source that has it.

    Where the rows of a text within its source disagree about a label, their majority holds, and 1 in a tie:
    it was somebody's judgement that the comment is harmful. What a later source says doesn't count.

    Returns:
        The comments, and for each source how many rows were dropped as duplicates within it or as leaked,
        which is what a text of an earlier source is, and how many texts were given different labels, within
        the source or against the earlier one.
    """
    again = comments[TEXT].duplicated()
    within = comments.duplicated([SOURCE, TEXT])
    disagreed = _disagreed(comments)
    counts: Counts = {}
    for source in comments[SOURCE].unique():
        own = comments[SOURCE] == source
        counts[f"dropped.{source}.duplicate"] = int((own & within).sum())
        counts[f"dropped.{source}.leaked"] = int((own & again & ~within).sum())
        counts[f"conflicting.{source}"] = int(comments.loc[own & disagreed, TEXT].nunique())
    return _by_majority(comments)[~again].reset_index(drop=True), counts


def _disagreed(comments: pd.DataFrame) -> pd.Series:
    """Whether a row states a label otherwise than the first row of its text that states it."""
    repeated = comments[comments[TEXT].duplicated(keep=False)]
    first = repeated.groupby(TEXT)[LABEL_COLUMNS].transform("first")
    labels = repeated[LABEL_COLUMNS]
    return (labels.notna() & (labels != first)).any(axis=1).reindex(comments.index, fill_value=False)


def _by_majority(comments: pd.DataFrame) -> pd.DataFrame:
    repeated = comments.duplicated([SOURCE, TEXT], keep=False)
    share = comments[repeated].groupby([SOURCE, TEXT])[LABEL_COLUMNS].transform("mean")
    majority = comments.copy()
    majority.loc[repeated, LABEL_COLUMNS] = (share >= _MAJORITY).astype("float32").where(share.notna())
    return majority


def divide(
    comments: pd.DataFrame, parameters: SourceParameters, *, source: str
) -> tuple[pd.DataFrame, pd.DataFrame, Counts]:
    """Return what of one source's comments is trained on and what is validated on.

    Returns:
        Both tables, and how many comments were thinned out of the first.
    """
    texts = comments[TEXT]
    # Two rules, because figures can be compared only while the comments held out remain the same.
    if source == VALIDATION:
        trained_on = _draw(texts, salt="validation") < parameters.train_fraction
    else:
        trained_on = _draw(texts, salt="holdout") >= 1 - parameters.train_fraction
    training = comments[trained_on]
    thinned = _thin_non_toxic(training, parameters.non_toxic_per_toxic)
    return thinned, comments[~trained_on], {f"dropped.{source}.thinned": len(training) - len(thinned)}


def _thin_non_toxic(comments: pd.DataFrame, per_toxic: float | None) -> pd.DataFrame:
    if per_toxic is None:
        return comments
    toxic = comments[LABEL_COLUMNS].max(axis=1) > 0
    wanted = int(toxic.sum() * per_toxic)
    rank = _draw(comments[TEXT], salt="thinning").where(~toxic).rank(method="first")
    return comments[toxic | (rank <= wanted)]


def _draw(texts: pd.Series, *, salt: str) -> pd.Series:
    """Return a number in [0, 1) that depends on the text and `salt` alone, as good as random."""
    return texts.map(lambda text: _hash(f"{salt}\n{text}") / 2**64).astype(float)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
