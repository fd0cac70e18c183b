"""Which words drove a score, by occlusion.

A word's influence on a label is how much the calibrated score falls when the word is removed from the text
(Zeiler & Fergus, 2014, for images; Li, Monroe & Jurafsky, 2016, "Understanding Neural Networks through
Representation Erasure", for words). Occlusion asks the model itself, needs only its scores, and has the
score's own unit. Gradients have none of these properties: they are large where the model is steep, vanish
where a sigmoid saturates, and aren't in the SavedModel's signature.

Words are removed, not masked: an encoder fine-tuned on comments has never seen a mask token.

Invariant: at most `passes` rows beyond the text's own windows, for a text of any length. Spans refer to the
text as its caller sent it, because words are found before normalisation.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toxic_core.text import Word
from toxic_core.tokens import AlignedText
from toxic_inference.serving.interfaces import Row, Span
from toxic_model.loaded import Float32Array

LEAST_PASSES = 18
"""Rows of the coarsest choice for six labels: a window per label, and two neighbours that share its words."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One window without one group of words."""

    group: int
    window: int
    row: Row


@dataclass(frozen=True, slots=True)
class Occlusion:
    """The rows to compute for one text, once its windows have scores.

    Attributes:
        groups: runs of words that are removed together, by their numbers.
        trials: the rows.
    """

    groups: tuple[tuple[int, ...], ...]
    trials: tuple[Trial, ...]

    @property
    def rows(self) -> list[Row]:
        """The trials' rows."""
        return [trial.row for trial in self.trials]


def plan(text: AlignedText, scores: Float32Array, *, passes: int) -> Occlusion:
    """Choose the words to remove.

    Only the windows that give some label its score matter: no other word can lower a maximum. Their words are
    removed from every window that contains them. If there are more words than passes, neighbours are removed
    together.

    Args:
        text: its windows and words.
        scores: of the windows, float32 [windows, labels].
        passes: most rows; three per label are used at least, if the text needs them.
    """
    decisive = set(scores.argmax(axis=0).tolist())
    words = sorted({int(word) for index in decisive for word in text.word_of[index] if word >= 0})
    size = 1
    while True:
        groups = tuple(tuple(words[start : start + size]) for start in range(0, len(words), size))
        trials = []
        for number, group in enumerate(groups):
            for index, (ids, of_ids) in enumerate(zip(text.text.windows, text.word_of, strict=True)):
                left = ids[~np.isin(of_ids, group)]
                # Without special tokens nothing may be left, and a model can't compute an empty row.
                if 0 < len(left) < len(ids):
                    trials.append(Trial(number, index, Row(ids=left)))
        if len(trials) <= passes or len(groups) == 1:
            return Occlusion(groups=groups, trials=tuple(trials))
        size = max(size + 1, size * len(trials) // passes)


def spans(
    words: Sequence[Word], occlusion: Occlusion, *, windows: Float32Array, trials: Float32Array
) -> tuple[Span, ...]:
    """Return each group's influence.

    Args:
        words: of the text.
        occlusion: the rows that were computed.
        windows: calibrated scores of the unchanged windows, float32 [windows, labels].
        trials: calibrated scores of the trials' rows, float32 [trials, labels].
    """
    whole = windows.max(axis=0)
    found = []
    for number, group in enumerate(occlusion.groups):
        without = windows.copy()
        for trial, scores in zip(occlusion.trials, trials, strict=True):
            if trial.group == number:
                without[trial.window] = scores
        influence = whole - without.max(axis=0)
        found.append(Span(words[group[0]].begin, words[group[-1]].end, tuple(influence.tolist())))
    return tuple(found)
