"""The terms that a caller sets: how long the answer may take, and whether anything of it may be kept."""

from math import isfinite

from starlette.requests import Request

from toxic_inference.http.errors import InvalidRequestError
from toxic_inference.serving.interfaces import Terms

TIMEOUT_HEADER = "timeout"
MAX_TIMEOUT_SECONDS = 3_600.0


def terms_of(request: Request, *, timeout_seconds: float | None = None, store: bool = True) -> Terms:
    """Return the terms of a request.

    Args:
        request: whose header `timeout`, in seconds, counts where the body says nothing.
        timeout_seconds: what the body says.
        store: whether scores may be kept.

    Raises:
        InvalidRequestError: the header isn't a number of seconds.
    """
    given = request.headers.get(TIMEOUT_HEADER)
    if timeout_seconds is None and given is not None:
        timeout_seconds = _seconds(given)
    return Terms(timeout_seconds=timeout_seconds, store=store)


def _seconds(given: str) -> float:
    try:
        seconds = float(given)
    except ValueError:
        seconds = 0.0
    if not isfinite(seconds) or not 0 < seconds <= MAX_TIMEOUT_SECONDS:
        raise InvalidRequestError(
            f"The header timeout must be a number of seconds, at most {MAX_TIMEOUT_SECONDS:g}.",
            field=TIMEOUT_HEADER,
        )
    return seconds
