"""The messages of the native door, for validation and for the OpenAPI document.

Invariant: requests forbid unknown fields, so that a misspelt one is an error and not a silent default.
"""

from pydantic import BaseModel, ConfigDict, Field

from toxic_inference.http.encodings.forms import TABLE_PARAMETERS
from toxic_inference.http.error_shapes import RowError
from toxic_inference.http.terms import MAX_TIMEOUT_SECONDS
from toxic_inference.http.texts import Language

_STRICT = ConfigDict(extra="forbid", strict=True)


class PredictRequest(BaseModel):
    """Texts to score: either `texts` or `text`."""

    model_config = _STRICT

    texts: list[str] | None = Field(
        default=None, min_length=1, fail_fast=True, description="The texts, in order."
    )
    text: str | None = Field(default=None, description="A single text.")
    lang: Language | None = Field(default=None, description="Language of every text.")
    language: Language | None = Field(default=None, description="The same as `lang`.")
    identify_language: bool = Field(
        default=True, description="Whether to identify the language of texts without one."
    )
    spans: bool = Field(
        default=False, description="Whether to return which words drove the scores; for a single text only."
    )
    thresholds: bool = Field(
        default=False, description="Whether to return the thresholds that decided, by label."
    )
    timeout: float | None = Field(
        default=None,
        gt=0,
        le=MAX_TIMEOUT_SECONDS,
        allow_inf_nan=False,
        description="Seconds after which the answer is no longer needed; replaces the header `timeout`.",
    )
    do_not_store: bool = Field(
        default=False,
        description="Whether the text isn't kept for the review, and scores are neither stored nor read from "
        "stored ones; the header `do-not-store: true` works on every door.",
    )


class PredictForm(BaseModel):
    """A text, a table, or both."""

    message: str | None = Field(default=None, description="A single text.")
    file: bytes | None = Field(
        default=None,
        description="A table with a column of texts and optionally a column `lang`.",
        json_schema_extra={"format": "binary"},
    )
    text_column: str | None = Field(default=None, description=TABLE_PARAMETERS["text_column"])
    encoding: str | None = Field(default=None, description=TABLE_PARAMETERS["encoding"])
    delimiter: str | None = Field(default=None, description=TABLE_PARAMETERS["delimiter"])
    lang: Language | None = Field(default=None, description="Language of texts without one.")


class NdjsonLine(BaseModel):
    """A line of the stream; a JSON string alone is a line too.

    The text may have any name that a table's text column may have. Other members are ignored.
    """

    text: str = Field(description="The text.")
    id: str | int | None = Field(default=None, description="Returned in the answer's line.")
    lang: Language | None = Field(default=None, description="Language of the text.")
    language: Language | None = Field(default=None, description="The same as `lang`.")


class SpanResult(BaseModel):
    """A part of a text and its influence on the scores."""

    begin: int = Field(description="Its first character, counted in Unicode code points.")
    end: int = Field(description="One past its last character.")
    influence: dict[str, float] = Field(description="How much each score falls without it.")


class TextResult(BaseModel):
    """One text's scores."""

    scores: dict[str, float] = Field(description="Calibrated score by label, from 0 to 1.")
    decisions: dict[str, bool] = Field(description="Whether the score reaches the operating threshold.")
    decided_by: dict[str, str] | None = Field(
        default=None, description="With a policy: whether the `model` or a `list` decided, by label."
    )
    tokens: int = Field(description="Tokens read, special tokens included.")
    windows: int = Field(
        description="Overlapping windows that a long text was read in; each score is the highest over them."
    )
    truncated: bool = Field(
        description="Whether the end of the text was not read: it needs too many windows."
    )
    low_confidence: bool | None = Field(
        default=None,
        description="True if the model's vocabulary lacks most of the text, which gets no decision.",
    )
    unevaluated_language: bool | None = Field(
        default=None, description="True if the model wasn't evaluated for the text's language."
    )
    line: int | None = Field(default=None, description="Line in the CSV file.")
    language: str | None = Field(
        default=None, description="Identified or given language; `und` if it is none that can be identified."
    )
    language_confidence: float | None = Field(
        default=None,
        description="Confidence that the text is in `language`, from 0 to 1; left out if the language was "
        "given, or assumed because the text is too short.",
    )
    thresholds: dict[str, float] | None = Field(
        default=None,
        description="The score from which each label is decided, on request.",
    )
    spans: list[SpanResult] | None = Field(default=None, description="Which words drove it, on request.")


class PredictAnswer(BaseModel):
    """The scores of all texts, in order, and the model version that gave them."""

    model_name: str
    model_version: str
    results: list[TextResult]
    errors: list[RowError] = Field(description="The first 10,000 rows that were not scored.")
    scored: int = Field(description="Number of texts that were scored.")
    rejected: int = Field(description="Number of rows that were not.")
    policy: str | None = Field(default=None, description="The policy that decided, if any.")
