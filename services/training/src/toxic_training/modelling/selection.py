"""Which weights of a training run are kept: those with the best mean AUC over languages.

Invariant: only comments that aren't trained on choose. The latest weights win unless earlier ones were better
by more than a margin, since with few comments in a language an AUC's noise is larger than most differences.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd
from keras import ops
from numpy.typing import NDArray

from toxic_core.tokens import Int32Array, Tokeniser
from toxic_training.data.comments import LABEL_COLUMNS, LANGUAGE, TEXT
from toxic_training.evaluation.metrics import auc, has_both_classes
from toxic_training.modelling.checkpoints import Arrays
from toxic_training.modelling.classifier import logits_of

_BEST = "best."
_TARGET = LABEL_COLUMNS[0]
"""The one label that every source carries."""


@dataclass(frozen=True, slots=True)
class SelectionSet:
    """Comments that choose.

    Attributes:
        token_ids: int32 [tokens] for each comment.
        truth: whether it is toxic, float64 [comments].
        languages: its language, str [comments].
        pad_id: token id of padding.
        batch_size: comments scored at once.
    """

    token_ids: list[Int32Array]
    truth: NDArray[np.float64]
    languages: NDArray[np.str_]
    pad_id: int
    batch_size: int

    def mean_auc(self, classifier: keras.Model) -> float:
        """Return the mean over languages of the AUC of `toxic`; NaN where no language has both classes."""
        scores = logits_of(classifier, self.token_ids, pad_id=self.pad_id, batch_size=self.batch_size)[
            :, 0
        ].astype(np.float64)
        groups = [self.languages == language for language in np.unique(self.languages)]
        aucs = [auc(self.truth[rows], scores[rows]) for rows in groups if has_both_classes(self.truth[rows])]
        return float(np.mean(aucs)) if aucs else float("nan")


class BestWeights:
    """Keeps the weights to end with: the latest whose score is within `margin` of the best score so far."""

    def __init__(self, *, margin: float) -> None:
        self._margin = margin
        self.scores: list[float] = []
        self.misses = 0
        self.weights: Arrays = {}

    @property
    def score(self) -> float:
        """The kept weights' score; NaN before the first."""
        return self.scores[-1 - self.misses] if self.scores else math.nan

    def offer(self, score: float, classifier: keras.Model) -> None:
        """Keep the trainable weights, unless earlier ones were better by more than the margin."""
        self.scores.append(score)
        if score < np.nanmax([*self.scores, -math.inf]) - self._margin:
            self.misses += 1
            return
        self.misses = 0
        weights = classifier.trainable_variables
        self.weights = {
            f"{_BEST}{index}": ops.convert_to_numpy(weight).copy() for index, weight in enumerate(weights)
        }

    def put_back(self, classifier: keras.Model) -> None:
        """Give the classifier the weights that were kept."""
        for index, weight in enumerate(classifier.trainable_variables):
            weight.assign(self.weights[f"{_BEST}{index}"])

    def restore(self, variables: Arrays, *, scores: Sequence[float], misses: int) -> None:
        """Go on from a checkpoint that held `weights` among its variables."""
        self.scores, self.misses = list(scores), misses
        self.weights = {name: value for name, value in variables.items() if name.startswith(_BEST)}


def selection_set(
    validation: pd.DataFrame, tokeniser: Tokeniser, *, comments: int, batch_size: int, seed: int
) -> SelectionSet:
    """Take at most `comments` labelled rows, as many of each language as there are, the rarest first."""
    labelled = validation[validation[_TARGET].notna()]
    left, kept = comments, []
    groups = sorted(labelled.groupby(LANGUAGE), key=lambda group: len(group[1]))
    for index, (_, rows) in enumerate(groups):
        share = min(len(rows), left // (len(groups) - index))
        kept.append(rows.sample(share, random_state=seed))
        left -= len(kept[-1])
    chosen = pd.concat(kept) if kept else labelled
    return SelectionSet(
        token_ids=tokeniser.token_ids(chosen[TEXT].tolist()),
        truth=chosen[_TARGET].to_numpy(np.float64),
        languages=chosen[LANGUAGE].to_numpy(np.str_),
        pad_id=tokeniser.pad_id,
        batch_size=batch_size,
    )
