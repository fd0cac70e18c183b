"""What a model version was measured on, for telling later whether its traffic is still like that.

Invariant: what is served is binned by the very edges that the reference was, so that a difference of the two
is one of the traffic. Counts are rounded weights: of a set of the deployment's share of toxic comments.
"""

from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from toxic_core.contract.schema import FrozenModel

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(gt=0.0, lt=1.0)]

LENGTH_EDGES: Final = (0.0, *(float(n) for n in (4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024)))
"""By which lengths in tokens are binned. Who counts puts what is longer into the last bin."""


class Distribution(FrozenModel):
    """A histogram. Bins hold their lower edge and not their upper one, but for the last, which holds both.

    Attributes:
        edges: bin edges, ascending, one more than `counts`.
        counts: comments in each bin.
    """

    edges: tuple[float, ...]
    counts: tuple[Count, ...]

    @model_validator(mode="after")
    def _check_bins(self) -> Self:
        if len(self.edges) != len(self.counts) + 1 or list(self.edges) != sorted(set(self.edges)):
            raise ValueError("edges must ascend and be one more than counts")
        return self


class ReferenceTraffic(FrozenModel):
    """The reference comments beside their scores, and the shares that probabilities depend on.

    Attributes:
        languages: comments by language (ISO 639-1).
        lengths: comments by their tokens, special ones included.
        calibration_toxic_share: share of toxic comments that calibrated scores are probabilities at.
        deployment_toxic_share: share of toxic comments that thresholds were chosen for.
    """

    languages: dict[str, Count]
    lengths: Distribution
    calibration_toxic_share: Share
    deployment_toxic_share: Share
