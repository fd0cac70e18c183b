"""Which failures of a run have a reason that a user can act on, and how to say it in one line.

Invariant: what isn't recognised is not explained away; its traceback is for whoever mends the code.
"""

import errno
from collections.abc import Iterator

from kedro.io import DatasetError
from kedro.validation.exceptions import ParameterValidationError

from toxic_core.errors import ToxicError


def explain(error: BaseException) -> str | None:
    """Return one line that says what is wrong and what to do, or None for an error of the code's own.

    Kedro wraps what goes wrong inside a dataset, so the causes are looked at too, the innermost first.
    """
    causes = list(_chain(error))
    for cause in reversed(causes):
        if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
            return (
                f"The disk is full (writing {cause.filename or 'a file'}); free some space, or put the data "
                "on another disk with TOXIC_DATA_DIR, then run again."
            )
        if isinstance(cause, ToxicError):
            return _one_line(cause)
    for cause in causes:
        if isinstance(cause, ParameterValidationError | DatasetError):
            return _one_line(cause)
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
