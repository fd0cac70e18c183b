"""The types of parameters, and those of the data stage. Kedro validates them before the first node runs."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from toxic_core.labels import LABELS
from toxic_core.languages import KNOWN_LANGUAGES

_COLUMNS = ("id", "comment_text", "lang", "source", "licence", *LABELS)
_FILES = frozenset({"train", "validation", "test", "test_labels"})


def _known_language(code: str) -> str:
    if code not in KNOWN_LANGUAGES:
        raise ValueError(f"{code!r} is neither an ISO 639-1 code, such as en, nor und")
    return code


def _unreserved_name(name: str) -> str:
    if name in _FILES:
        raise ValueError(f"{name!r} is the name of one of Jigsaw's files; choose another name for the table")
    return name


def _known_column(name: str) -> str:
    if name not in _COLUMNS:
        raise ValueError(f"{name!r} is none of {', '.join(_COLUMNS)}")
    return name


ColumnName = Annotated[str, AfterValidator(_known_column)]
LanguageCode = Annotated[str, AfterValidator(_known_language)]
TableName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$"), AfterValidator(_unreserved_name)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class Parameters(BaseModel):
    """Base of one stage's parameters, `conf/*/parameters*.yml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Use(StrEnum):
    """What a raw table is for; its name, in a table of comments."""

    TRAINING = "training"
    VALIDATION = "validation"
    THRESHOLDS = "thresholds"
    TEST = "test"
    TRAFFIC = "traffic"


class SourceParameters(Parameters):
    """How one raw table joins the comments."""

    columns: dict[ColumnName, str] = Field(
        default_factory=dict,
        description="The table's own names of columns, by ours: `{comment_text: post, toxic: is_toxic}`.",
    )
    label_values: dict[str, Annotated[int, Field(ge=0, le=1)]] = Field(
        default_factory=dict,
        description="Words in the table's label columns, beside 0, 1, true and false: `{abusive: 1, ok: 0}`.",
    )
    use: Use = Field(
        default=Use.TRAINING,
        description="`training`; `validation` chooses weights, calibration and thresholds; `thresholds` only "
        "lowers thresholds to `threshold_recall`, and no figure of it is reported; `test` is measured; "
        "`traffic` only counts in the reference that drift is measured from.",
    )

    language: LanguageCode | None = Field(
        default=None,
        description="Language of every row; null takes each row's own, and identifies it if a row has none.",
    )
    licence: str = Field(
        default="", description="Licence of the rows that state none; for the contract and the model's card."
    )
    train_fraction: Fraction = Field(
        default=1.0, description="Share used for training, chosen by text; the rest is for validation."
    )
    non_toxic_per_toxic: float | None = Field(
        default=None, gt=0, description="Non-toxic training rows per toxic one; null keeps all."
    )
    rows_per_language: int | None = Field(
        default=None,
        ge=1,
        description="Maximum training rows of a language, in equal shares of its origins; null for all.",
    )
    rows_of: dict[LanguageCode, int] = Field(
        default_factory=dict, description="Languages with another maximum."
    )
    repeat: int = Field(default=1, ge=1, description="Times that each row occurs per epoch.")
    weight: float = Field(default=1.0, gt=0, description="Weight of a row in the loss.")
    mask_one_sided: bool = Field(
        default=False,
        description="Whether a label other than `toxic` is unknown in training rows of an origin that never "
        "gives it as 1: such zeros teach how the origin writes, not what the label is.",
    )
    soft_labels: bool = Field(
        default=False,
        description="Whether labels are shares from 0 to 1, as of another model; only for training, and only "
        "in additional tables.",
    )

    @model_validator(mode="after")
    def _check_use(self) -> Self:
        if self.soft_labels and (self.use is not Use.TRAINING or self.train_fraction < 1):
            raise ValueError("a table with soft_labels is only for training: use training, train_fraction 1")
        if self.use is not Use.TRAINING and self.train_fraction < 1:
            raise ValueError(f"a table of use {self.use} isn't divided: remove its train_fraction")
        return self


class DataParameters(Parameters):
    """How raw tables become training, validation and test comments."""

    train: SourceParameters = Field(description="Jigsaw's train file.")
    validation: SourceParameters = Field(description="Jigsaw's validation file.")
    max_rejected_fraction: Fraction = Field(
        default=0.05, description="A table with a larger share of invalid rows is refused."
    )
    temperature: Fraction = Field(
        default=1.0,
        description="Languages and sources share the training rows in proportion to their number to this "
        "power; 1 leaves them as they are, 0 makes them equal. None is repeated more than 4 times.",
    )
    memory_megabytes: int = Field(
        default=1024,
        ge=256,
        description="Memory in which duplicates are found and comments split; what exceeds it is on disk.",
    )
    leave_out_licences: tuple[str, ...] = Field(
        default=(),
        description="Rows with a licence that contains one of these aren't used; `share-alike` stands for "
        "every licence of that kind (`toxic_training.data.licences`).",
    )
    additional: dict[TableName, SourceParameters] = Field(
        default_factory=dict,
        description="The catalog's tables in `raw_additional`, by name; a text in two stays in the first.",
    )

    @model_validator(mode="after")
    def _check_use(self) -> Self:
        for name, source in (("train", self.train), ("validation", self.validation)):
            if source.use is not Use.TRAINING:
                raise ValueError(
                    f"Jigsaw's {name} file has no other use: remove {name}.use, set train_fraction"
                )
            if source.soft_labels:
                raise ValueError(
                    f"Jigsaw's {name} file has labels of 0 and 1: remove {name}.soft_labels, or add the "
                    "table as an additional one"
                )
        return self

    @property
    def sources(self) -> dict[str, SourceParameters]:
        """Every table that is trained on or chosen by, by name."""
        return {"train": self.train, "validation": self.validation, **self.additional}
