"""The types of `conf/*/parameters*.yml`; Kedro validates them before any node runs.

Invariant: every number a pipeline uses is here, with its unit in its name or its description.
"""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from toxic_training.data.languages import KNOWN_LANGUAGES

_FILES = frozenset({"train", "validation", "test", "test_labels"})


def _known_language(code: str) -> str:
    if code not in KNOWN_LANGUAGES:
        raise ValueError(f"{code!r} is no code of ISO 639-1, such as en, nor und")
    return code


def _name_of_its_own(name: str) -> str:
    if name in _FILES:
        raise ValueError(f"{name!r} is the name of one of Jigsaw's files; give the table another")
    return name


LanguageCode = Annotated[str, AfterValidator(_known_language)]
TableName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$"), AfterValidator(_name_of_its_own)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Share = Annotated[float, Field(gt=0.0, lt=1.0)]


class _Parameters(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceParameters(_Parameters):
    """How one raw table joins the comments that are trained on."""

    language: LanguageCode | None = Field(
        default=None,
        description="Of every row; null takes what each row states, and identifies it where it states none.",
    )
    train_fraction: Fraction = Field(
        default=1.0, description="Share trained on, chosen by text; the rest is validated on."
    )
    non_toxic_per_toxic: float | None = Field(
        default=None, gt=0, description="Non-toxic rows trained on for each toxic one; null keeps all."
    )
    repeat: int = Field(default=1, ge=1, description="How often a pass over the data shows each row.")


class DataParameters(_Parameters):
    """How raw tables become training, validation and test comments."""

    train: SourceParameters = Field(description="Jigsaw's train file.")
    validation: SourceParameters = Field(description="Jigsaw's validation file.")
    max_rejected_fraction: Fraction = Field(
        default=0.05, description="A table with a larger share of rows that break its schema is refused."
    )
    min_language_confidence: Fraction = Field(
        default=0.5, description="Of an identified language; below it a comment is `und`."
    )
    additional: dict[TableName, SourceParameters] = Field(
        default_factory=dict,
        description="The catalog's tables in `raw_additional`, by name; a text in two stays in the first.",
    )


class ModellingParameters(_Parameters):
    """Which encoder is fine-tuned, and how."""

    encoder: str = Field(
        description="`baseline` (the shipped model's), `tiny`, `builtin:e5-small`, `hf://owner/name`, or a "
        "folder in Hugging Face's layout."
    )
    vocabulary_size: int = Field(
        ge=300, description="Pieces learnt (`tiny`), or kept of a pretrained vocabulary by frequency rank."
    )
    max_tokens: int = Field(ge=8, le=512, description="Longest input in tokens; longer comments are cut.")
    batch_size: int = Field(ge=1, description="Comments a step.")
    epochs: int = Field(ge=1)
    peak_learning_rate: float = Field(gt=0)
    warmup_fraction: Fraction = Field(description="Share of all steps before the peak learning rate.")
    weight_decay: float = Field(ge=0)
    dropout: Fraction = Field(description="Before the classification layer.")
    train_embeddings: bool = Field(description="Whether the token embeddings are trained too.")
    cpu_bfloat16: bool = Field(description="Train in bfloat16 where the CPU computes in it.")
    max_train_minutes: float = Field(gt=0, description="Training ends cleanly with what it has by then.")
    checkpoint_minutes: float = Field(ge=0, description="A killed run loses at most this much.")
    selections: int = Field(ge=1, description="How often weights are measured on validation comments.")
    selection_comments: int = Field(ge=1, description="Validation comments that measure them.")
    selection_margin: float = Field(
        ge=0, description="Later weights are kept unless earlier ones' mean AUC is higher by more than this."
    )
    patience: int = Field(ge=1, description="Worse measurements in a row that end training.")
    class_weight_power: Fraction = Field(
        description="A label's positives weigh (negatives / positives) to this power; 0 for alike."
    )
    class_weight_limit: float = Field(ge=1, description="The most that a positive may weigh.")
    layers: int | None = Field(
        ge=1, description="Keep this many of the encoder's layers, evenly spread; all where null."
    )
    teacher: str | None = Field(
        description="Folder of a bundle whose scores are learnt too (distillation); none where null."
    )
    teacher_share: Fraction = Field(description="Weight of the teacher's scores against the labels.")
    quantise: bool = Field(
        description="Round the trained weights to the few bits that a packed baseline stores."
    )
    seed: int


class EvaluationParameters(_Parameters):
    """How the exported model is measured, and how its scores are read."""

    batch_tokens: int = Field(ge=1, description="Tokens scored at once, padding included.")
    max_windows: int = Field(
        ge=1, description="Most windows that a long comment is read in; as INFERENCE_MAX_WINDOWS."
    )
    window_overlap_tokens: int = Field(
        ge=0, description="Tokens that neighbouring windows share; as INFERENCE_WINDOW_OVERLAP_TOKENS."
    )
    bootstrap_samples: int = Field(ge=0, description="Resamples behind each confidence interval.")
    confidence: Fraction = Field(description="Coverage of the intervals.")
    calibration_toxic_share: Share = Field(
        description="Share of toxic comments in the stream whose probabilities calibrated scores are."
    )
    calibration_min_a_class: int = Field(
        ge=1, description="A language with fewer comments with or without a label shares all languages' fit."
    )
    calibration_bins: int = Field(ge=2, description="Bins of equal mass of the calibration error.")
    deployment_toxic_share: Share = Field(
        description="Share of toxic comments in the stream that thresholds are chosen for."
    )
    threshold_precision: Fraction = Field(description="Precision an operating threshold is chosen for.")
    reference_bins: int = Field(ge=2, description="Bins of the reference score distributions.")
    length_edges: Annotated[tuple[int, ...], Field(min_length=1)] = Field(
        description="Ascending lengths in tokens that part short comments from long ones."
    )
    min_rows_a_language: int = Field(ge=1, description="A smaller group gets no figure of its own.")
    precision_comments: int = Field(
        ge=0, description="Validation comments that lower precision is measured on; 0 leaves it unmeasured."
    )
    seed: int


class RegistrationParameters(_Parameters):
    """Where the model goes."""

    model_name: str
    alias: str = Field(description="The alias a new version gets.")
