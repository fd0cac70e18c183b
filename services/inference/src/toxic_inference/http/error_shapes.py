"""Error bodies that several doors share; a door with a shape of its own defines it in its package."""

from http import HTTPStatus

from pydantic import BaseModel, Field

from toxic_inference.http.door import ErrorShape
from toxic_inference.http.errors import Problem


class RowError(BaseModel):
    """A row of a CSV file that was not scored."""

    line: int = Field(description="The row's first line in the file, from 1.")
    code: str = Field(description="The reason, for programs.")
    message: str = Field(description="The reason, for people.")


class ErrorDetail(BaseModel):
    """What is wrong."""

    code: str = Field(description="The error, for programs.")
    message: str = Field(description="What is wrong and what to do, for people.")
    field: str | None = Field(default=None, description="The part of the request at fault.")
    rows: list[RowError] | None = Field(default=None, description="The rows of a CSV that were not scored.")


class ErrorAnswer(BaseModel):
    """An error of the native routes."""

    error: ErrorDetail


class MessageAnswer(BaseModel):
    """An error of TensorFlow Serving's API and of the Open Inference Protocol."""

    error: str


NATIVE = ErrorShape(
    "native",
    ErrorAnswer,
    lambda problem: {
        "error": {
            name: value
            for name in ("code", "message", "field", "rows")
            if (value := getattr(problem, name)) not in (None, ())
        }
    },
)


def one_bad_request(problem: Problem) -> int:
    """Return the status in protocols for which every input at fault is a bad request."""
    unprocessable = problem.status == HTTPStatus.UNPROCESSABLE_ENTITY
    return HTTPStatus.BAD_REQUEST if unprocessable else problem.status


MESSAGE = ErrorShape(
    "one message", MessageAnswer, lambda problem: {"error": problem.message}, one_bad_request
)
