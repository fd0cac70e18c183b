"""The parameters of the modelling stage.

A relative path, on the command line or in a file, starts from the folder in which the run was started.
"""

from typing import Annotated

from pydantic import Field, field_validator

from toxic_core.labels import LabelName
from toxic_training.data.parameters import Fraction, Parameters

Weight = Annotated[float, Field(gt=0.0)]
LessThanHalf = Annotated[float, Field(ge=0.0, lt=0.5)]
Memory = Annotated[float, Field(ge=0.0, lt=1.0)]


class ModellingParameters(Parameters):
    """Which encoder is fine-tuned, and how."""

    encoder: str = Field(
        description="`baseline` (the shipped model's), `tiny`, `builtin:e5-small`, `hf://owner/name`, or a "
        "folder in Hugging Face's layout; a relative one starts from the folder in which the run was started."
    )
    vocabulary_size: int = Field(
        ge=300, description="Pieces learnt (`tiny`), or kept of a pretrained vocabulary by frequency rank."
    )
    max_tokens: int = Field(
        ge=8, le=512, description="Maximum input length in tokens; longer comments are cut."
    )
    batch_size: int = Field(ge=1, description="Comments per step.")
    epochs: int = Field(ge=1)
    peak_learning_rate: float = Field(gt=0)
    warmup_fraction: Fraction = Field(description="Share of all steps before the peak learning rate.")
    weight_decay: float = Field(ge=0)
    dropout: Fraction = Field(description="Dropout before the classification layer.")
    train_embeddings: bool = Field(description="Whether the token embeddings are trained too.")
    cpu_bfloat16: bool = Field(description="Train in bfloat16 if the CPU supports it.")
    max_train_minutes: float = Field(gt=0, description="Time limit; training ends cleanly when it is over.")
    checkpoint_minutes: float = Field(ge=0, description="Time between checkpoints.")
    selections: int = Field(
        ge=1, description="Number of times that weights are evaluated on validation comments."
    )
    selection_comments: int = Field(ge=1, description="Validation comments per evaluation of weights.")
    selection_margin: float = Field(
        ge=0, description="Later weights are kept unless earlier ones' mean AUC is higher by more than this."
    )
    patience: int = Field(ge=1, description="Worse evaluations in a row that end training.")
    class_weight_power: Fraction = Field(
        description="A label's positives weigh (negatives / positives) to this power; 0 for equal weights."
    )
    class_weight_limit: float = Field(ge=1, description="Maximum weight of a positive.")
    language_balance: Fraction = Field(
        default=0.0,
        description="Toxic comments of a language weigh (its harmless per toxic comment / that of all) to "
        "this power, within `class_weight_limit`; 0 for equal weights.",
    )
    length_balance: Fraction = Field(
        default=0.0,
        description="The same for comments of a language of about the same length, so that a long comment "
        "isn't thought harmless because the training data has few long toxic ones.",
    )
    length_share: Fraction = Field(
        default=0.0,
        description="Share of the dependence of `toxic` on the length of harmless training comments that is "
        "taken off the classification layer after training.",
    )
    label_weights: dict[LabelName, Weight] = Field(
        default_factory=dict, description="Weight of a label in the loss; 1 for those that aren't named."
    )
    toxic_shares: dict[LabelName, Fraction] = Field(
        default_factory=dict,
        description="Shares of the logit of `toxic` that are added to other labels' after training, so that "
        "harmless comments are ranked by how rude they are; taken off a classification layer that training "
        "starts from.",
    )
    merged_with: dict[str, Fraction] = Field(
        default_factory=dict,
        description="Folders of other trainings of the same encoder, such as packed models, each with its "
        "share of the mean of weights that is kept. With the model that training starts from, a training "
        "forgets less of it. A relative path is that of `encoder`.",
    )
    label_smoothing: LessThanHalf = Field(
        default=0.0, description="Labels are learnt as this and 1 minus this, since raters disagree."
    )
    averaging: Memory = Field(
        default=0.0,
        description="Memory of the running mean of weights, which is what is kept: 0.998; 0 for none.",
    )
    augmented_share: Fraction = Field(
        default=0.0,
        description="Share of training comments whose case, punctuation or spelling is changed; with a "
        "teacher, which scores the unchanged ones, they are trained to score alike.",
    )
    mined_share: LessThanHalf = Field(
        default=0.0,
        description="Share of harmless comments that a pass contains twice because they scored highest after "
        "the pass before, in place of those that scored lowest.",
    )
    layers: int | None = Field(
        ge=1, description="Number of the encoder's layers to keep, evenly spread; null for all."
    )
    teacher: str | None = Field(
        description="Folder of a bundle whose scores are learnt too (distillation); null for none. A "
        "relative path is that of `encoder`."
    )
    teacher_share: Fraction = Field(description="Weight of the teacher's scores against the labels.")
    quantise: bool = Field(
        description="Round the trained weights to the precision that a packed baseline stores."
    )
    workers: int = Field(
        default=1,
        ge=1,
        description="Processes on this machine that train together, one per GPU if it has any; a cluster in "
        "TF_CONFIG takes precedence. `batch_size` is that of all of them.",
    )
    seed: int

    @field_validator("merged_with")
    @classmethod
    def _leave_a_share(cls, shares: dict[str, float]) -> dict[str, float]:
        if sum(shares.values()) >= 1:
            raise ValueError(
                "the shares leave nothing of the training itself: lower them to less than 1 in all"
            )
        return shares

    @field_validator("toxic_shares")
    @classmethod
    def _check_shares(cls, shares: dict[LabelName, float]) -> dict[LabelName, float]:
        if "toxic" in shares:
            raise ValueError("toxic gets no share of itself: remove it")
        return shares
