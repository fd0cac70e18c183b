"""Selects the weights of a training run that are kept: those with the best mean AUC over languages.

Only comments outside the training set are used. The latest weights win unless earlier ones were better by
more than a margin, because with few comments per language an AUC's noise is larger than most differences.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import keras
import numpy as np
import pandas as pd
from keras import ops
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from toxic_core.tokens import Int32Array, Tokeniser
from toxic_training.data.comments import LABEL_COLUMNS, LANGUAGE, TEXT
from toxic_training.data.mixing import equal_shares
from toxic_training.modelling.checkpoints import Arrays
from toxic_training.modelling.classifier import logits_of

_BEST = "best."
_TARGET = LABEL_COLUMNS[0]
"""The only label that every source contains."""


@dataclass(frozen=True, slots=True)
class SelectionSet:
    """The comments that weights are evaluated on; `token_ids` are int32 [tokens] for each."""

    token_ids: list[Int32Array]
    truth: NDArray[np.float64]
    languages: NDArray[np.str_]
    pad_id: int
    batch_size: int

    def mean_auc(self, classifier: keras.Model) -> float:
        """Return the mean over languages of the AUC of `toxic`; NaN if no language has both classes."""
        logits = logits_of(classifier, self.token_ids, pad_id=self.pad_id, batch_size=self.batch_size)
        scores = logits[:, 0].astype(np.float64)
        aucs = []
        for language in np.unique(self.languages):
            rows = self.languages == language
            if np.unique(self.truth[rows]).size > 1:
                aucs.append(roc_auc_score(self.truth[rows], scores[rows]))
        return float(np.mean(aucs)) if aucs else math.nan


@dataclass(slots=True)
class BestWeights:
    """Keeps the final weights: the latest whose score is within `margin` of the best score so far."""

    margin: float
    scores: list[float] = field(default_factory=list)
    misses: int = 0
    weights: Arrays = field(default_factory=dict)

    @property
    def score(self) -> float:
        """The kept weights' score; NaN before the first."""
        return self.scores[-1 - self.misses] if self.scores else math.nan

    def offer(self, score: float, classifier: keras.Model) -> None:
        """Keep the trainable weights, unless earlier ones were better by more than the margin."""
        self.scores.append(score)
        if score < np.nanmax([*self.scores, -math.inf]) - self.margin:
            self.misses += 1
            return
        self.misses = 0
        weights = classifier.trainable_variables
        self.weights = {
            f"{_BEST}{index}": ops.convert_to_numpy(weight).copy() for index, weight in enumerate(weights)
        }

    def put_back(self, classifier: keras.Model) -> None:
        """Set the classifier to the weights that were kept."""
        for index, weight in enumerate(classifier.trainable_variables):
            weight.assign(self.weights[f"{_BEST}{index}"])

    def restore(self, variables: Arrays, *, scores: Sequence[float], misses: int) -> None:
        """Resume from a checkpoint whose variables contain `weights`."""
        self.scores, self.misses = list(scores), misses
        self.weights = {name: value for name, value in variables.items() if name.startswith(_BEST)}


def selection_set(
    validation: pd.DataFrame, tokeniser: Tokeniser, *, comments: int, batch_size: int, seed: int
) -> SelectionSet:
    """Take at most `comments` labelled rows, spread over languages as evenly as possible."""
    labelled = validation[validation[_TARGET].notna()]
    groups = [rows for _, rows in labelled.groupby(LANGUAGE)]
    shares = equal_shares([len(rows) for rows in groups], comments)
    kept = [rows.sample(share, random_state=seed) for rows, share in zip(groups, shares, strict=True)]
    chosen = pd.concat(kept) if kept else labelled
    return SelectionSet(
        token_ids=tokeniser.token_ids(chosen[TEXT].tolist()),
        truth=chosen[_TARGET].to_numpy(np.float64),
        languages=chosen[LANGUAGE].to_numpy(np.str_),
        pad_id=tokeniser.pad_id,
        batch_size=batch_size,
    )
