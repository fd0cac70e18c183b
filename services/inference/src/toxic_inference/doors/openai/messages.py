"""The messages of OpenAI's moderation API, for validation and for the OpenAPI document."""

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
)
from pydantic_core import PydanticCustomError

from toxic_inference.http.door import ErrorShape
from toxic_inference.http.error_shapes import one_bad_request
from toxic_inference.http.errors import Problem

_STRICT = ConfigDict(extra="forbid", strict=True)


class TextPart(BaseModel):
    """A part of one input."""

    model_config = _STRICT

    type: Literal["text"]
    text: str


class ModerationRequest(BaseModel):
    """Texts to classify."""

    model_config = _STRICT

    input: (
        str | Annotated[list[str], Field(min_length=1)] | Annotated[list[TextPart], Field(min_length=1)]
    ) = Field(description="A text, a list of texts with a result each, or the text parts of one input.")
    model: str | None = Field(
        default=None, description="One of the names that `/openai/v1/models` lists; all are the served model."
    )

    @field_validator("input", mode="wrap")
    @classmethod
    def _one_of_three_forms(cls, value: object, read: ValidatorFunctionWrapHandler) -> object:
        try:
            return read(value)
        except ValidationError:
            raise PydanticCustomError(
                "input_form", 'Send a text, a list of texts, or a list of parts {"type": "text", "text": "…"}'
            ) from None


class ModerationResult(BaseModel):
    """The categories of one input."""

    flagged: bool = Field(description="Whether the model decides on any of its labels.")
    categories: dict[str, bool] = Field(description="The decision by category.")
    category_scores: dict[str, float] = Field(description="Calibrated score by category, from 0 to 1.")
    category_applied_input_types: dict[str, list[str]] = Field(
        description="`text` for the categories that the model judges; an empty list for the others."
    )
    toxicity_scores: dict[str, float] = Field(description="Calibrated score by the model's own labels.")


class ModerationAnswer(BaseModel):
    """A result for every input."""

    id: str
    model: str
    results: list[ModerationResult]


class ModelEntry(BaseModel):
    """A name of the served model."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="When its model was made, in seconds since 1970.")
    owned_by: str = "toxic-inference"


class ModelList(BaseModel):
    """The names of the served model."""

    object: Literal["list"] = "list"
    data: list[ModelEntry]


class OpenAIErrorDetail(BaseModel):
    """What is wrong."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class OpenAIError(BaseModel):
    """An error of OpenAI's API."""

    error: OpenAIErrorDetail


_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}


def _body(problem: Problem) -> object:
    server_error = "server_error" if problem.status >= 500 else "invalid_request_error"  # noqa: PLR2004
    facts = OpenAIErrorDetail(
        message=problem.message,
        type=_TYPES.get(problem.status, server_error),
        param=problem.field,
        code=_CODES.get(problem.status, problem.code),
    )
    return OpenAIError(error=facts).model_dump()


OPENAI_ERRORS = ErrorShape("OpenAI's", OpenAIError, _body, one_bad_request)
