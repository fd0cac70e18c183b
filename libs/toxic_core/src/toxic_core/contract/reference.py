"""What a model version does on its reference comments: distributions for drift, precision by threshold.

Serving bins by the edges of the reference, so that a difference is one of the traffic. Counts are rounded
weights: the reference comments are weighted to recent traffic, or to the deployment's share of toxic ones.
"""

from datetime import datetime
from itertools import pairwise
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from toxic_core.contract.schema import FrozenModel, Probability
from toxic_core.labels import LabelName

Count = Annotated[int, Field(ge=0)]
ToxicShare = Annotated[float, Field(gt=0.0, lt=1.0)]
"""A share of toxic comments, without the ends, whose odds aren't finite."""
MAX_KNOTS: Final = 40

LENGTH_EDGES: Final = (0.0, *(float(n) for n in (4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024)))
"""Bin edges of lengths in tokens; longer texts count in the last bin."""


class Distribution(FrozenModel):
    """A histogram. Bins include their lower edge but not the upper one, except the last, which includes both.

    Attributes:
        edges: ascending bin edges, one more than `counts`.
        counts: comments per bin.
    """

    edges: tuple[float, ...]
    counts: tuple[Count, ...]

    @model_validator(mode="after")
    def _check_bins(self) -> Self:
        if len(self.edges) != len(self.counts) + 1 or list(self.edges) != sorted(set(self.edges)):
            raise ValueError("edges must ascend and be one more than counts")
        return self


class ReferenceTraffic(FrozenModel):
    """Languages and lengths of the reference comments, and the shares that probabilities depend on.

    Attributes:
        languages: comments per language (ISO 639-1).
        lengths: comments by number of tokens, special tokens included.
        calibration_toxic_share: share of toxic comments for which calibrated scores are probabilities.
        deployment_toxic_share: share of toxic comments for which thresholds were chosen.
    """

    languages: dict[str, Count]
    lengths: Distribution
    calibration_toxic_share: ToxicShare
    deployment_toxic_share: ToxicShare


OTHER_LANGUAGE: Final = "other"
"""Counts texts in languages that aren't the model's."""


class RecentTraffic(FrozenModel):
    """What a version saw of its traffic lately, as counts, so that the next reference can resemble it.

    Attributes:
        made_at: when the version was made, as in its contract, which identifies it.
        watched_seconds: how long the traffic was watched.
        languages: texts per language of the version, also in `other` ones, and without one (`und`).
        lengths: texts by the version's number of tokens.
        label: the label of `scores`.
        scores: texts by the version's calibrated score of `label`.
    """

    made_at: datetime
    watched_seconds: Annotated[float, Field(ge=0.0)]
    languages: dict[str, Count]
    lengths: Distribution
    label: LabelName
    scores: Distribution


class PrecisionCurve(FrozenModel):
    """The lowest threshold that has a precision, in a stream with the deployment's share of toxic comments.

    Attributes:
        knots: pairs of a precision, ascending, and the lowest calibrated score that has it, ascending too.
        rows, positives: validation comments that it was measured on.
    """

    knots: Annotated[tuple[tuple[Probability, Probability], ...], Field(max_length=MAX_KNOTS)]
    rows: Count
    positives: Count

    @model_validator(mode="after")
    def _check_monotone(self) -> Self:
        if any(b[0] <= a[0] or b[1] <= a[1] for a, b in pairwise(self.knots)):
            raise ValueError("the knots must ascend")
        return self

    def threshold(self, precision: float) -> float | None:
        """Return the threshold of the next knot with at least a precision; None if no threshold has it."""
        return next((threshold for known, threshold in self.knots if known >= precision), None)
