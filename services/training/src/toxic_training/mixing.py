"""What is trained on, what is validated on and what is tested on.

Owns the separation of cleaned comments: one text in one set only, and how much of each source a pass over the
training comments shows.

Invariant: where a comment goes depends on its text and the parameters alone, never on its neighbours or the
order of rows, so that figures of two runs are about the same comments.
"""

import hashlib
from collections.abc import Sequence

import pandas as pd

from toxic_training.comments import LABEL_COLUMNS, SOURCE, TEXT
from toxic_training.parameters import SourceParameters

TEST = "test"
VALIDATION = "validation"
TRAIN = "train"

Counts = dict[str, float]


def keep_first_of_each_text(tables: Sequence[pd.DataFrame]) -> tuple[pd.DataFrame, Counts]:
    """Return the rows of `tables` with every text once, from the first table that has it.

    Returns:
        The comments, and how many rows of each source were dropped: empty, duplicates within their source, or
        leaked, which is what a text of an earlier table is.
    """
    comments = pd.concat(tables, ignore_index=True)
    empty = comments[TEXT] == ""
    again = ~empty & comments[TEXT].duplicated()
    within = ~empty & comments.duplicated([SOURCE, TEXT])
    counts: Counts = {}
    for source in comments[SOURCE].unique():
        own = comments[SOURCE] == source
        counts[f"dropped.{source}.empty"] = int((own & empty).sum())
        counts[f"dropped.{source}.duplicate"] = int((own & within).sum())
        counts[f"dropped.{source}.leaked"] = int((own & again & ~within).sum())
    return comments[~(empty | again)].reset_index(drop=True), counts


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
