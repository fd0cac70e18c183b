"""Which words drove a score, by occlusion.

A word's influence on a label is how far the calibrated score falls when the word is taken out of the text
(Zeiler & Fergus, 2014, for images; Li, Monroe & Jurafsky, 2016, "Understanding Neural Networks through
Representation Erasure", for words). It asks the model itself, needs nothing of it but scores, and its unit is
the score's own, none of which holds of gradients: those point where the model is steep, vanish where a
sigmoid saturates, and the SavedModel's signature doesn't give them.

Words are taken out, not masked: an encoder fine-tuned on comments has never seen a mask token.

Invariant: at most `passes` rows beyond the text's own windows, however long it is; and every span stands at
the place in the text where its caller put it, since words are found before anything is normalised.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toxic_core.labels import LABELS
from toxic_core.text import Word
from toxic_core.tokens import AlignedText
from toxic_inference.serving.interfaces import Float32Array, Row, Span

LEAST_PASSES = 3 * len(LABELS)
"""What the coarsest choice may take: a window a label, and the neighbours that share its words."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One window without one group of words."""

    group: int
    window: int
    row: Row


@dataclass(frozen=True, slots=True)
class Occlusion:
    """What to ask the model about one text, once its windows have scores.

    Attributes:
        groups: runs of words that are taken out together, by their numbers.
        trials: the rows to score.
    """

    groups: tuple[tuple[int, ...], ...]
    trials: tuple[Trial, ...]

    @property
    def rows(self) -> list[Row]:
        """The trials' rows."""
        return [trial.row for trial in self.trials]


def plan(text: AlignedText, scores: Float32Array, *, passes: int) -> Occlusion:
    """Choose what to take out.

    Only words of the windows that give some label its score are looked at: no other word can lower a maximum.
    They are taken out of every window that reads them. Where there are more than may be tried, neighbours
    are taken out together.

    Args:
        text: its windows and words.
        scores: of the windows, float32 [windows, labels].
        passes: most rows; at least `LEAST_PASSES`.
    """
    looked_at = set(scores.argmax(axis=0).tolist())
    words = sorted({int(word) for index in looked_at for word in text.words[index] if word >= 0})
    size = 1
    while True:
        groups = tuple(tuple(words[start : start + size]) for start in range(0, len(words), size))
        trials = tuple(_trials(text, groups))
        if len(trials) <= passes or len(groups) == 1:
            return Occlusion(groups=groups, trials=trials)
        size = max(size + 1, size * len(trials) // passes)


def _trials(text: AlignedText, groups: Sequence[tuple[int, ...]]) -> list[Trial]:
    trials = []
    for number, group in enumerate(groups):
        for index, (ids, words) in enumerate(zip(text.text.windows, text.words, strict=True)):
            left = ids[~np.isin(words, group)]
            # Without special tokens nothing may be left, which the model doesn't take.
            if 0 < len(left) < len(ids):
                trials.append(Trial(number, index, Row(ids=left)))
    return trials


def spans(
    words: Sequence[Word], occlusion: Occlusion, *, windows: Float32Array, trials: Float32Array
) -> tuple[Span, ...]:
    """Return each group's influence.

    Args:
        words: of the text.
        occlusion: what was asked.
        windows: calibrated scores of the whole windows, float32 [windows, labels].
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
