"""From errors to HTTP: one table that maps every `ToxicError` to a status and a code.

No other module names a status for an error; `error_shapes` and the doors own the bodies. A door's own error
that subclasses one of these needs no entry.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from toxic_core.errors import (
    InvalidSignatureError,
    InvalidTextError,
    NoVersionReadyError,
    OverloadedError,
    ToxicError,
    UnknownModelError,
)
from toxic_core.http.addresses import ForeignRequestError
from toxic_core.tables import InvalidTableError, RowProblem
from toxic_inference.corrections.record import (
    FeedbackConflictError,
    FeedbackFullError,
    FeedbackUnavailableError,
    UnknownFeedbackError,
)
from toxic_inference.corrections.review_store import ReviewLabelsError, UnknownReviewError
from toxic_inference.jobs.record import (
    DiskFullError,
    JobNotDoneError,
    JobsFullError,
    JobsUnavailableError,
    UnknownJobError,
)
from toxic_inference.policies.governing import UnknownPolicyError
from toxic_inference.policies.policy import PolicyUnusableError
from toxic_inference.serving.errors import (
    DeadlineExceededError,
    InferenceError,
    RejectedTextError,
    TextTooLongError,
)
from toxic_inference.tables.reader import InvalidCsvError
from toxic_inference.webhooks import InvalidMessageError
from toxic_model.errors import InvalidTensorError


class RequestError(ToxicError):
    """A request that can't be answered.

    Attributes:
        field: the part of the request at fault, if one is.
        details: facts beyond the message, for error shapes that can hold them.
    """

    def __init__(
        self, message: str, *, field: str | None = None, details: Sequence[Mapping[str, object]] = ()
    ) -> None:
        super().__init__(message)
        self.field = field
        self.details = tuple(details)


class MalformedRequestError(RequestError):
    """A body that does not have the form that its content type promises."""


class InvalidRequestError(RequestError):
    """A well-formed body with a field that is missing, unknown or of the wrong type."""


class UnsupportedMediaTypeError(RequestError):
    """A content type that the route does not accept."""


class UnsupportedCodingError(RequestError):
    """A body in a content coding that is not accepted."""


class BodyTooLargeError(RequestError):
    """A body over the size limit."""


class TooManyTextsError(RequestError):
    """More texts than one request may have."""


class UnauthenticatedError(RequestError):
    """A request without an API key, or with an unknown one."""


class UnknownKeyError(UnauthenticatedError):
    """A request with API keys that are all unknown."""


class ForbiddenError(RequestError):
    """A request that its caller may not make."""


class RateLimitedError(OverloadedError):
    """An API key that exceeded its request rate."""


class WebhooksDisabledError(RequestError):
    """A message from the registry while webhooks are off."""


ERROR_TABLE: Mapping[type[Exception], tuple[HTTPStatus, str]] = {
    MalformedRequestError: (HTTPStatus.BAD_REQUEST, "malformed_request"),
    InvalidRequestError: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request"),
    UnsupportedMediaTypeError: (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
    UnsupportedCodingError: (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_content_coding"),
    BodyTooLargeError: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large"),
    TooManyTextsError: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_many_texts"),
    UnauthenticatedError: (HTTPStatus.UNAUTHORIZED, "unauthenticated"),
    ForbiddenError: (HTTPStatus.FORBIDDEN, "forbidden"),
    ForeignRequestError: (HTTPStatus.FORBIDDEN, "forbidden"),
    WebhooksDisabledError: (HTTPStatus.NOT_FOUND, "events_disabled"),
    InvalidMessageError: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request"),
    InvalidSignatureError: (HTTPStatus.FORBIDDEN, "invalid_signature"),
    InvalidCsvError: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_csv"),
    InvalidTableError: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_csv"),
    TextTooLongError: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "text_too_long"),
    InvalidTextError: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_text"),
    InvalidTensorError: (HTTPStatus.BAD_REQUEST, "invalid_tensor"),
    UnknownModelError: (HTTPStatus.NOT_FOUND, "unknown_model"),
    UnknownFeedbackError: (HTTPStatus.NOT_FOUND, "unknown_feedback"),
    UnknownReviewError: (HTTPStatus.NOT_FOUND, "unknown_review"),
    ReviewLabelsError: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request"),
    FeedbackFullError: (HTTPStatus.TOO_MANY_REQUESTS, "feedback_full"),
    FeedbackConflictError: (HTTPStatus.CONFLICT, "feedback_conflict"),
    FeedbackUnavailableError: (HTTPStatus.SERVICE_UNAVAILABLE, "feedback_unavailable"),
    PolicyUnusableError: (HTTPStatus.CONFLICT, "policy_unusable"),
    UnknownPolicyError: (HTTPStatus.UNPROCESSABLE_ENTITY, "unknown_policy"),
    UnknownJobError: (HTTPStatus.NOT_FOUND, "unknown_job"),
    JobNotDoneError: (HTTPStatus.CONFLICT, "job_not_done"),
    JobsUnavailableError: (HTTPStatus.SERVICE_UNAVAILABLE, "jobs_unavailable"),
    JobsFullError: (HTTPStatus.TOO_MANY_REQUESTS, "jobs_full"),
    DiskFullError: (HTTPStatus.INSUFFICIENT_STORAGE, "disk_full"),
    OverloadedError: (HTTPStatus.TOO_MANY_REQUESTS, "overloaded"),
    NoVersionReadyError: (HTTPStatus.SERVICE_UNAVAILABLE, "no_version_ready"),
    DeadlineExceededError: (HTTPStatus.GATEWAY_TIMEOUT, "deadline_exceeded"),
    InferenceError: (HTTPStatus.INTERNAL_SERVER_ERROR, "inference_failed"),
    ToxicError: (HTTPStatus.INTERNAL_SERVER_ERROR, "internal"),
}
"""Status and code by error class; a class without an entry has its nearest ancestor's."""

_CANONICAL_CODES: Mapping[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}

_PRECONDITIONS = frozenset({"policy_unusable", "job_not_done"})

_UNAVAILABLE_RETRY_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as an answer.

    Attributes:
        status: HTTP status.
        code: the error, for programs.
        message: what is wrong and what to do, for people.
        field: the part of the request at fault.
        rows: rows of a CSV that were not scored.
        details: facts beyond the message, for error shapes that can hold them.
        headers: headers of the answer.
        error: the error itself, for error shapes that distinguish more.
    """

    status: int
    code: str
    message: str
    field: str | None = None
    rows: tuple[RowProblem, ...] = ()
    details: tuple[Mapping[str, object], ...] = ()
    headers: Mapping[str, str] | None = None
    error: Exception | None = None


def problem_of(error: Exception) -> Problem:
    """Return the table's answer to an error; an unforeseen one is an internal error without its message."""
    status, code = next(
        (ERROR_TABLE[cls] for cls in type(error).__mro__ if cls in ERROR_TABLE), ERROR_TABLE[ToxicError]
    )
    headers = {}
    if isinstance(error, OverloadedError):
        headers["Retry-After"] = str(max(math.ceil(error.retry_after_seconds), 1))
    elif isinstance(error, UnauthenticatedError):
        # httplib2, and so Google's client for Python, can't read a scheme without parameters.
        headers["WWW-Authenticate"] = 'Bearer realm="toxic-inference"'
    elif isinstance(error, UnsupportedCodingError):
        headers["Accept-Encoding"] = "gzip, deflate"
    elif isinstance(error, NoVersionReadyError | FeedbackUnavailableError | JobsUnavailableError):
        headers["Retry-After"] = str(_UNAVAILABLE_RETRY_SECONDS)
    return Problem(
        status=status,
        code=code,
        message=str(error) if isinstance(error, ToxicError) else "The service failed; see its log.",
        field=error.field
        if isinstance(error, RequestError | RejectedTextError | InvalidCsvError | InvalidMessageError)
        else None,
        rows=error.problems if isinstance(error, InvalidCsvError) else (),
        details=error.details if isinstance(error, RequestError) else (),
        headers=headers,
        error=error,
    )


def too_large(limit: int) -> BodyTooLargeError:
    """Return the error of a body of more than `limit` bytes."""
    return BodyTooLargeError(f"The body is larger than {limit:,} bytes; send it in parts.")


def describe(error: Exception) -> tuple[str, str]:
    """Return an error's code and message, for records of background work."""
    problem = problem_of(error)
    return problem.code, problem.message


def canonical_code(problem: Problem, status: int) -> str:
    """Return the name in `google.rpc.Code` of a problem with an HTTP status, for gRPC and Google's APIs."""
    if problem.code in _PRECONDITIONS:
        return "FAILED_PRECONDITION"
    other = "INVALID_ARGUMENT" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "INTERNAL"
    return _CANONICAL_CODES.get(status, other)
