"""What a caller asks for beside the texts: the version, the time limit, whether scores may be stored."""

from math import isfinite

from starlette.requests import Request

from toxic_core.errors import UnknownModelError
from toxic_inference.http.errors import InvalidRequestError
from toxic_inference.http.guard import caller_in
from toxic_inference.serving.interfaces import Lane, Target, Terms

TIMEOUT_HEADER = "timeout"
DO_NOT_STORE_HEADER = "do-not-store"
"""`true` if nothing of the request's texts may be stored; a job keeps its file all the same."""
BULK = "toxic_inference.bulk"
"""Key of the scope of a request that is part of a larger one: it waits for capacity, as files do."""
MAX_TIMEOUT_SECONDS = 3_600.0


def may_store(request: Request) -> bool:
    """Return whether a request lets its texts and scores be stored, by the header `do-not-store`.

    Raises:
        InvalidRequestError: the header has another value than true and false.
    """
    refused = request.headers.get(DO_NOT_STORE_HEADER, "false").lower()
    if refused not in {"true", "false"}:
        raise InvalidRequestError(
            f"The header {DO_NOT_STORE_HEADER} must be true or false.", field=DO_NOT_STORE_HEADER
        )
    return refused == "false"


def terms_of(request: Request, *, timeout_seconds: float | None = None, store: bool = True) -> Terms:
    """Return the terms of a request.

    Args:
        request: its header `timeout`, in seconds, counts if the body has no timeout.
        timeout_seconds: the body's timeout.
        store: whether scores, and texts for the review, may be stored; the header `do-not-store` may
            refuse it.

    Raises:
        InvalidRequestError: a header has no such value.
    """
    store = may_store(request) and store
    given = request.headers.get(TIMEOUT_HEADER)
    if timeout_seconds is None and given is not None:
        try:
            timeout_seconds = float(given)
        except ValueError:
            timeout_seconds = 0.0
        if not isfinite(timeout_seconds) or not 0 < timeout_seconds <= MAX_TIMEOUT_SECONDS:
            raise InvalidRequestError(
                f"The header timeout must be a number of seconds, at most {MAX_TIMEOUT_SECONDS:g}.",
                field=TIMEOUT_HEADER,
            )
    return Terms(timeout_seconds=timeout_seconds, store=store, caller=caller_in(request.scope))


def lane_of(request: Request) -> Lane:
    """Return the lane of a request's texts."""
    return Lane.BULK if request.scope.get(BULK) else Lane.INTERACTIVE


def target_of(request: Request, *, model_name: str) -> Target:
    """Return the version that a path with the parameters `name` and `version` or `label` asks for.

    Raises:
        UnknownModelError: the path names another model than `model_name`.
    """
    parameters = request.path_params
    target = Target(version=parameters.get("version"), alias=parameters.get("label"))
    return target_in(parameters["name"], target, model_name=model_name)


def target_in(name: str, target: Target, *, model_name: str) -> Target:
    """Return a version of the model `name`.

    Raises:
        UnknownModelError: that is another model than `model_name`.
    """
    if name != model_name:
        raise UnknownModelError(f"There is no model {name!r}; this service serves {model_name!r}.")
    return target


def names_version(path: str) -> bool:
    """Return whether a path may ask for another version than the default one."""
    return "/versions/" in path or "/labels/" in path
