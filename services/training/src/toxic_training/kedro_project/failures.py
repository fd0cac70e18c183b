"""Explains failures of a run in one line, if a user can act on them.

Invariant: an unknown failure isn't explained; developers need its traceback.
"""

import errno
import re

from kedro.io import DatasetError
from kedro.validation.exceptions import ParameterValidationError
from pandas.errors import EmptyDataError, ParserError
from pyarrow import ArrowInvalid

from toxic_core.errors import ToxicError

_PATH = re.compile(r"filepath=(?:\w+\()?'?([^',)]+)")


def explain(error: BaseException) -> str | None:
    """Return one line with the problem and the remedy, or None for an error in the code itself.

    Kedro wraps errors of datasets, so that the causes are examined too. Of our own errors the outermost
    explains: it adds what the inner ones don't know, such as the file.
    """
    causes = [error]
    while (cause := causes[-1].__cause__) is not None:
        causes.append(cause)
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
            return (
                f"The disk is full (writing {cause.filename or 'a file'}). Free some space, or move the data "
                "to another disk with TOXIC_DATA_DIR, then run again."
            )
    for cause in causes:
        if isinstance(cause, ToxicError):
            return _one_line(cause)
    for cause in causes:
        if isinstance(cause, DatasetError) and (reason := unreadable(causes[-1])):
            path = _PATH.search(str(cause))
            return f"{path[1] if path else _one_line(cause)} {reason}"
        if isinstance(cause, ParameterValidationError | DatasetError):
            return _one_line(cause)
    return None


def unreadable(cause: BaseException) -> str | None:
    """Return why a file can't be read, without quoting its content."""
    match cause:
        case UnicodeDecodeError():
            return (
                f"isn't UTF-8 (byte {cause.object[cause.start]:#x}); convert it, for example with "
                "iconv -f WINDOWS-1252 -t UTF-8."
            )
        case EmptyDataError():
            return "is empty; it needs a header and rows."
        case ParserError():
            return f"isn't a well-formed CSV: {_one_line(cause)}."
        case ArrowInvalid():
            return "isn't a Parquet file, or is damaged; write it again."
    return None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
