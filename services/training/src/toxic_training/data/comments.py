"""The table of comments that every pipeline reads and writes.

Invariant: one row per comment, text normalised, not empty and unique; a label is 0, 1, or NaN if the source
file doesn't contain it.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from toxic_core.labels import LABELS

ID = "id"
TEXT = "text"
LANGUAGE = "language"
SOURCE = "source"
LABEL_COLUMNS = list(LABELS)
COLUMNS = [ID, TEXT, LANGUAGE, SOURCE, *LABEL_COLUMNS]


def label_matrix(comments: pd.DataFrame) -> NDArray[np.float32]:
    """Return the labels, float32 [comments, labels], NaN if missing."""
    return comments[LABEL_COLUMNS].to_numpy(dtype=np.float32)


def label_counts(comments: pd.DataFrame) -> dict[str, int]:
    """Return how many comments have each label as 1."""
    return {label: int((comments[label] == 1).sum()) for label in LABEL_COLUMNS}
