"""Which failures of a run have a reason that a user can act on, and how to say it in one line.

Invariant: what isn't recognised is not explained away; its traceback is for whoever mends the code.
"""

import errno
import re
from collections.abc import Iterator

from kedro.io import DatasetError
from kedro.validation.exceptions import ParameterValidationError
from pandas.errors import EmptyDataError, ParserError
from pyarrow import ArrowInvalid

from toxic_core.errors import ToxicError

_PATH = re.compile(r"filepath=(?:\w+\()?'?([^',)]+)")


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
        if isinstance(cause, DatasetError) and (reason := unreadable(causes[-1])):
            return f"{_file_of(cause)} {reason}"
        if isinstance(cause, ParameterValidationError | DatasetError):
            return _one_line(cause)
    return None


def unreadable(cause: BaseException) -> str | None:
    """Say why a file can't be read, without quoting what stands in it."""
    match cause:
        case UnicodeDecodeError():
            return (
                f"isn't UTF-8 (byte {cause.object[cause.start]:#x}); convert it, for instance with "
                "iconv -f WINDOWS-1252 -t UTF-8."
            )
        case EmptyDataError():
            return "is empty; it needs a header and rows."
        case ParserError():
            return f"isn't a well-formed CSV: {_one_line(cause)}."
        case ArrowInvalid():
            return "isn't a Parquet file, or is damaged; write it again."
    return None


def _file_of(error: DatasetError) -> str:
    """Return the path that Kedro's message describes the dataset by."""
    found = _PATH.search(str(error))
    return found[1] if found else _one_line(error)


def _chain(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
