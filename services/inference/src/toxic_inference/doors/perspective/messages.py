"""The messages of the Perspective API, `google.commentanalyzer.v1alpha1`.

Invariant: names and types are the published ones, in the proto3 JSON mapping: a member has its camel-case or
its proto name, null means absent, and unknown members are an error. Types are strict; `coercion` converts
what protobuf's reader would convert. The values of an enum are in the order of their numbers.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr
from pydantic.alias_generators import to_camel

PACKAGE = "google.commentanalyzer.v1alpha1"


class TextType(StrEnum):
    """The markup of a text."""

    TEXT_TYPE_UNSPECIFIED = "TEXT_TYPE_UNSPECIFIED"
    PLAIN_TEXT = "PLAIN_TEXT"
    HTML = "HTML"


class ScoreType(StrEnum):
    """The unit of a score's value."""

    SCORE_TYPE_UNSPECIFIED = "SCORE_TYPE_UNSPECIFIED"
    PROBABILITY = "PROBABILITY"
    STD_DEV_SCORE = "STD_DEV_SCORE"
    PERCENTILE = "PERCENTILE"
    RAW = "RAW"


class _Message(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", allow_inf_nan=False
    )


Float = Annotated[float, Field(strict=True, json_schema_extra={"format": "float"})]
Int32 = Annotated[int, Field(strict=True, ge=-(2**31), lt=2**31, json_schema_extra={"format": "int32"})]


class TextEntry(_Message):
    """A text."""

    text: StrictStr | None = Field(default=None, description="The text, in UTF-8.")
    type: TextType | None = Field(default=None, description="Its markup; only PLAIN_TEXT is scored.")


class ArticleAndParentComment(_Message):
    """The article and comment that a comment answers."""

    article: TextEntry | None = Field(default=None, description="The article that the comment is about.")
    parent_comment: TextEntry | None = Field(default=None, description="The comment that it answers.")


class Context(_Message):
    """What a comment refers to, in one of two forms; accepted but not used."""

    entries: list[TextEntry] | None = Field(
        fail_fast=True, default=None, description="The messages before it."
    )
    article_and_parent_comment: ArticleAndParentComment | None = Field(
        default=None, description="The article and comment it answers."
    )


class AttributeParameters(_Message):
    """The request for one attribute."""

    score_type: ScoreType | None = Field(default=None, description="Only PROBABILITY is scored.")
    score_threshold: Float | None = Field(default=None, description="Scores below it are left out.")


class Score(_Message):
    """A score with its unit."""

    value: Float | None = Field(default=None, description="From 0 to 1.")
    type: ScoreType | None = Field(default=None, description="The unit of the value.")


class SpanScore(_Message):
    """The score of a part of the text."""

    begin: Int32 | None = Field(
        default=None, description="Where it begins, in UTF-16 code units; 0 if unset."
    )
    end: Int32 | None = Field(
        default=None, description="Where it ends, exclusive; at the text's end if unset."
    )
    score: Score | None = Field(default=None, description="Its score.")


class AttributeScores(_Message):
    """The scores of one attribute."""

    summary_score: Score | None = Field(default=None, description="Score of the whole text.")
    span_scores: list[SpanScore] | None = Field(default=None, description="Scores of its parts.")


class AnalyzeCommentRequest(_Message):
    """A comment to score."""

    comment: TextEntry | None = Field(default=None, description="The comment to score.")
    context: Context | None = Field(default=None, description="What it refers to.")
    requested_attributes: dict[str, AttributeParameters] | None = Field(
        default=None, description="The attributes to score."
    )
    span_annotations: StrictBool | None = Field(
        default=None, description="Whether to score each sentence too."
    )
    languages: list[StrictStr] | None = Field(
        fail_fast=True,
        default=None,
        description="The comment's languages, as ISO or BCP-47 codes; identified if empty.",
    )
    do_not_store: StrictBool | None = Field(default=None, description="Whether nothing of it may be stored.")
    drop_unsupported_attributes: StrictBool | None = Field(
        default=None, description="Whether attributes without a score are left out instead of an error."
    )
    client_token: StrictStr | None = Field(default=None, description="Echoed in the answer.")
    session_id: StrictStr | None = Field(default=None, description="Joins related requests.")
    community_id: StrictStr | None = Field(
        default=None, max_length=256, description="The community it was written in."
    )


class AnalyzeCommentResponse(_Message):
    """A comment's scores."""

    attribute_scores: dict[str, AttributeScores] | None = Field(
        default=None, description="Scores by requested attribute."
    )
    languages: list[str] | None = Field(default=None, description="The languages it was scored in.")
    detected_languages: list[str] | None = Field(
        default=None, description="The languages identified, the most likely first."
    )
    client_token: str | None = Field(default=None, description="The request's.")


class SuggestCommentScoreRequest(_Message):
    """The scores that a comment should have had."""

    comment: TextEntry | None = Field(default=None, description="The comment.")
    context: Context | None = Field(default=None, description="What it refers to.")
    attribute_scores: dict[str, AttributeScores] | None = Field(
        default=None, description="The scores it should have, by attribute; 0 or 1 is clearest."
    )
    languages: list[StrictStr] | None = Field(
        fail_fast=True,
        default=None,
        description="The comment's languages, as ISO or BCP-47 codes; identified if empty.",
    )
    # Not published, so not in the discovery document, but some clients send it with everything.
    do_not_store: StrictBool | None = Field(
        default=None,
        description="Whether its text may not be stored; not in the published message.",
        json_schema_extra={"x-unpublished": True},
    )
    client_token: StrictStr | None = Field(default=None, description="Echoed in the answer.")
    session_id: StrictStr | None = Field(default=None, description="Joins related requests.")
    community_id: StrictStr | None = Field(
        default=None, max_length=256, description="The community it was written in."
    )


class SuggestCommentScoreResponse(_Message):
    """The acknowledgement of a suggestion."""

    requested_languages: list[str] | None = Field(default=None, description="The request's languages.")
    detected_languages: list[str] | None = Field(default=None, description="The languages identified.")
    client_token: str | None = Field(default=None, description="The request's.")
