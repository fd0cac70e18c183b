"""The shapes of the native routes, for validation and for the API's documentation.

Invariant: requests forbid unknown fields, so that a misspelt one is an error and not a silent default.
"""

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from toxic_core.labels import LabelName
from toxic_inference.http.terms import MAX_TIMEOUT_SECONDS

LANGUAGE_PATTERN = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8}){0,3}")


def primary_language(code: str | None) -> str | None:
    """Return the language of a code such as `pt-BR`, in lower case: `pt`; None where there is no code."""
    return code.replace("_", "-").partition("-")[0].lower() or None if code else None


Language = Annotated[
    str,
    StringConstraints(pattern=rf"^{LANGUAGE_PATTERN.pattern}$"),
    Field(
        description="Language code such as `en`; its own calibration and thresholds are used.",
        examples=["en"],
    ),
]


def openapi_body(model: type[BaseModel], example: object) -> dict[str, object]:
    """Return the OpenAPI description of a JSON body that a route reads by itself."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    content = {"application/json": {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


class PredictRequest(BaseModel):
    """Texts to score: either `texts` or `text`."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"texts": ["Have a lovely day.", "You are an idiot."]}]},
    )

    texts: list[str] | None = Field(default=None, min_length=1, description="The texts, in order.")
    text: str | None = Field(default=None, description="A single text.")
    lang: Language | None = Field(default=None, description="Language of every text.")
    language: Language | None = Field(default=None, description="The same as `lang`.")
    identify_language: bool = Field(
        default=False, description="Whether to identify the language of texts where none is said."
    )
    spans: bool = Field(
        default=False, description="Whether to say which words drove the scores; of one text at a time."
    )
    timeout: float | None = Field(
        default=None,
        gt=0,
        le=MAX_TIMEOUT_SECONDS,
        allow_inf_nan=False,
        description="Seconds after which nobody waits for the answer; the header `timeout` says the same.",
    )
    do_not_store: bool = Field(
        default=False, description="Whether the scores are neither kept nor taken from those kept."
    )


class PredictForm(BaseModel):
    """A text, a CSV file, or both."""

    message: str | None = Field(default=None, description="A single text.")
    file: bytes | None = Field(
        default=None,
        description="A CSV file with a column `content` or `comment_text`, and optionally `lang`.",
        json_schema_extra={"format": "binary"},
    )
    lang: Language | None = Field(default=None, description="Language of texts that name none.")


class SpanResult(BaseModel):
    """A part of a text, and what it did to the scores."""

    begin: int = Field(description="Its first character, counted in Unicode code points.")
    end: int = Field(description="One past its last character.")
    influence: dict[LabelName, float] = Field(description="By how much each score falls without it.")


class TextResult(BaseModel):
    """One text's scores."""

    scores: dict[LabelName, float] = Field(description="Calibrated score by label, from 0 to 1.")
    decisions: dict[LabelName, bool] = Field(description="Whether the score reaches the operating threshold.")
    tokens: int = Field(description="Tokens read, special tokens included.")
    windows: int = Field(
        description="Overlapping windows that a long text was read in; each score is the highest over them."
    )
    truncated: bool = Field(description="Whether the text's end wasn't read, for want of windows.")
    line: int | None = Field(default=None, description="Line in the CSV file.")
    language: str | None = Field(default=None, description="As identified, or as said; where asked for.")
    spans: list[SpanResult] | None = Field(default=None, description="Which words drove it; on request.")


class RowError(BaseModel):
    """A row of the CSV file that wasn't scored."""

    line: int = Field(description="Its first line in the file, from 1.")
    code: str = Field(description="The reason, for programs.")
    message: str = Field(description="The reason, for people.")


class PredictAnswer(BaseModel):
    """The scores of all texts, in order, and which model version gave them."""

    model_name: str
    model_version: str
    results: list[TextResult]
    errors: list[RowError] = Field(description="The first 10,000 rows that weren't scored.")
    scored: int = Field(description="How many texts were scored.")
    rejected: int = Field(description="How many rows weren't.")


class ErrorDetail(BaseModel):
    """What is wrong."""

    code: str = Field(description="For programs.")
    message: str = Field(description="For people: what is wrong and what to do.")
    field: str | None = Field(default=None, description="The part of the request at fault.")
    rows: list[RowError] | None = Field(default=None, description="The rows of a CSV that weren't scored.")


class ErrorAnswer(BaseModel):
    """Every error of the native routes."""

    error: ErrorDetail


class Health(BaseModel):
    """Whether the service can answer."""

    status: str = Field(examples=["ready"])
    model_name: str | None = None
    model_version: str | None = None
    detail: str | None = None
