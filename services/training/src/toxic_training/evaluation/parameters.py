"""The parameters of the evaluation stage."""

from typing import Annotated

from pydantic import Field

from toxic_core.contract.reference import ToxicShare
from toxic_core.labels import LabelName
from toxic_model.scoring import ScoringOptions
from toxic_training.data.parameters import Fraction, Parameters
from toxic_training.evaluation.resampling import Resampling


class EvaluationParameters(Parameters):
    """How the exported model is measured, and how its scores are calibrated."""

    batch_tokens: int = Field(ge=1, description="Tokens per batch, padding included.")
    max_windows: int = Field(
        ge=1, description="Maximum number of windows of a long comment; as INFERENCE_MAX_WINDOWS."
    )
    window_overlap_tokens: int = Field(
        ge=0, description="Tokens that neighbouring windows share; as INFERENCE_WINDOW_OVERLAP_TOKENS."
    )
    bootstrap_samples: int = Field(ge=0, description="Bootstrap samples per confidence interval.")
    confidence: Fraction = Field(description="Coverage of the intervals.")
    calibration_toxic_share: ToxicShare = Field(
        description="Share of toxic comments in the stream for which scores are calibrated."
    )
    calibration_min_per_class: int = Field(
        ge=1, description="A language with fewer comments with or without a label shares all languages' fit."
    )
    calibration_bins: int = Field(ge=2, description="Bins of equal mass of the calibration error.")
    deployment_toxic_share: ToxicShare = Field(
        description="Share of toxic comments in the stream for which thresholds are chosen."
    )
    threshold_precision: Fraction = Field(description="Precision for which an operating threshold is chosen.")
    threshold_recall: dict[LabelName, Fraction] = Field(
        default_factory=dict,
        description="Labels whose threshold is lowered to this recall, also on tables of `use: thresholds`.",
    )
    recall_min_positives: int = Field(
        default=8, ge=1, description="Comments with the label that a language needs for such a threshold."
    )
    reference_bins: int = Field(ge=2, description="Bins of the reference score distributions.")
    reference_hours: float = Field(
        default=24,
        ge=0,
        description="Fewest hours of traffic that the service must have watched, for a reference like it.",
    )
    length_edges: Annotated[tuple[int, ...], Field(min_length=1)] = Field(
        description="Ascending lengths in tokens that separate short comments from long ones."
    )
    min_rows_per_language: int = Field(
        ge=1, description="Minimum rows of a group that is measured by itself."
    )
    min_rows_per_origin: int = Field(ge=1, description="The same for a language's rows of one origin.")
    precision_comments: int = Field(
        ge=0, description="Validation comments on which lower precision is measured; 0 to skip it."
    )
    disguised_comments: int = Field(
        ge=0, description="Test comments that are scored disguised too; 0 to skip it."
    )
    seed: int

    @property
    def reading(self) -> ScoringOptions:
        """How texts are read."""
        return ScoringOptions(
            batch_tokens=self.batch_tokens, max_windows=self.max_windows, overlap=self.window_overlap_tokens
        )

    @property
    def resampling(self) -> Resampling:
        """How the ends of intervals are found."""
        return Resampling(samples=self.bootstrap_samples, confidence=self.confidence, seed=self.seed)
