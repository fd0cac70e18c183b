"""The table of comments that every pipeline passes on.

Invariant: one row a comment, text normalised and not empty, unique; a label is 0, 1, or NaN where the source
file doesn't carry it.
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

UNDETERMINED = "und"
"""ISO 639-2's code for a language that isn't known."""


def label_matrix(comments: pd.DataFrame) -> NDArray[np.float32]:
    """Return the labels, float32 [comments, labels], NaN where missing."""
    return comments[LABEL_COLUMNS].to_numpy(dtype=np.float32)


def label_counts(comments: pd.DataFrame) -> dict[str, int]:
    """Return how many comments carry each label as 1."""
    return {label: int((comments[label] == 1).sum()) for label in LABEL_COLUMNS}
