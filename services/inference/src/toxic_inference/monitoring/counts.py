"""The counts of one version's traffic.

All counts are in one flat array, so a snapshot is one copy.

Invariant: counts only grow, so the difference of two snapshots is the traffic between them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from toxic_core.contract import Contract
from toxic_core.contract.reference import LENGTH_EDGES, OTHER_LANGUAGE
from toxic_core.labels import Label
from toxic_core.languages import ANY_LANGUAGE, UNDETERMINED
from toxic_inference.events import TextsScored
from toxic_inference.monitoring.estimate import Floats, deployment_probabilities

SCORE_EDGES: Final = tuple(round(0.05 * edge, 2) for edge in range(21))


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of texts; arrays are views into `flat`.

    Attributes:
        flat: all counts.
        languages: texts by language, float [languages].
        flagged: by label and language, float [labels, languages].
        scores: by label and bin, float [labels, score bins].
        score_sums: float [labels].
        lengths: by bin, float [length bins].
        length_sum: float [1].
        hits: sum of the flagged texts' probabilities, float [labels].
        positives: sum of all texts' probabilities, float [labels].
    """

    flat: Floats
    languages: Floats
    flagged: Floats
    scores: Floats
    score_sums: Floats
    lengths: Floats
    length_sum: Floats
    hits: Floats
    positives: Floats

    @property
    def texts(self) -> float:
        """How many texts."""
        return float(self.languages.sum())


class Scheme:
    """The bins of one version's traffic: those of its contract's reference, if it has one.

    Attributes:
        contract: the version's contract.
        languages: in the order of the counts: the contract's, then `other` and `und`.
        score_edges: edges of the score bins, 0 to 1.
        length_edges: edges of the length bins.
        main: the column of `toxic`, or of the first label of a model without it.
    """

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.main = contract.labels.index(Label.TOXIC) if Label.TOXIC in contract.labels else 0
        self.languages = (*contract.languages, OTHER_LANGUAGE, UNDETERMINED)
        self._language_index: dict[str | None, int] = {name: i for i, name in enumerate(contract.languages)}
        self._language_index[None] = len(self.languages) - 1
        reference = contract.reference_scores.get(contract.labels[0], {}).get(ANY_LANGUAGE)
        self.score_edges = reference.edges if reference else SCORE_EDGES
        traffic = contract.reference_traffic
        self.length_edges = traffic.lengths.edges if traffic else LENGTH_EDGES
        labels, languages = len(contract.labels), len(self.languages)
        scores, lengths = len(self.score_edges) - 1, len(self.length_edges) - 1
        self._shapes: tuple[tuple[int, ...], ...] = (
            (languages,),
            (labels, languages),
            (labels, scores),
            (labels,),
            (lengths,),
            (1,),
            (labels,),
            (labels,),
        )
        self._ends = np.cumsum([int(np.prod(shape)) for shape in self._shapes])

    def empty(self) -> Counts:
        """Return counts that are all 0."""
        return self.view(np.zeros(int(self._ends[-1])))

    def view(self, flat: Floats) -> Counts:
        """Return the counts in a flat array."""
        parts = np.split(flat, self._ends[:-1])
        arrays = [part.reshape(shape) for part, shape in zip(parts, self._shapes, strict=True)]
        languages, flagged, scores, score_sums, lengths, length_sum, hits, positives = arrays
        return Counts(flat, languages, flagged, scores, score_sums, lengths, length_sum, hits, positives)

    def add(self, counts: Counts, reports: Sequence[TextsScored]) -> None:
        """Add texts, in place."""
        scores = np.concatenate([report.scores for report in reports]).astype(np.float64)
        decisions = np.concatenate([report.decisions for report in reports])
        tokens = np.array([n for report in reports for n in report.tokens], dtype=np.float64)
        other = len(self.languages) - 2
        languages = np.array(
            [self._language_index.get(name, other) for report in reports for name in report.languages]
        )
        counts.languages[:] += np.bincount(languages, minlength=len(self.languages))
        counts.lengths[:] += _histogram(tokens, self.length_edges)
        counts.length_sum[:] += tokens.sum()
        counts.score_sums[:] += scores.sum(axis=0)
        for column in range(len(self.contract.labels)):
            flagged = languages[decisions[:, column]]
            counts.flagged[column] += np.bincount(flagged, minlength=len(self.languages))
            counts.scores[column] += _histogram(scores[:, column], self.score_edges)
        traffic = self.contract.reference_traffic
        if traffic is not None:
            # The reference's shares are those of the main label.
            probabilities = deployment_probabilities(scores, scores[:, self.main], traffic)
            counts.hits[:] += (probabilities * decisions).sum(axis=0)
            counts.positives[:] += probabilities.sum(axis=0)


def _histogram(values: Floats, edges: Sequence[float]) -> NDArray[np.intp]:
    """Return the number of values per bin; values outside are counted in the outermost bins."""
    bins = np.searchsorted(np.asarray(edges[1:-1]), values, side="right")
    return np.bincount(bins, minlength=len(edges) - 1)
