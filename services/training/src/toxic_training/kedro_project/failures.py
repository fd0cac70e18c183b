"""Explains failures of a run in one line, if a user can act on them.

Invariant: an unknown failure isn't explained; developers need its traceback.
"""

import errno
import os
import re

import duckdb
from kedro.framework.project import pipelines
from kedro.io import DatasetError
from kedro.validation.exceptions import ParameterValidationError
from pandas.errors import EmptyDataError, ParserError
from pyarrow import ArrowInvalid

from toxic_core.errors import ToxicError
from toxic_training.data.parameters import Parameters

_NO_PIPELINE = re.compile(r"Failed to find the pipeline named '([^']*)'")
_EXTRA_FIELD = re.compile(r"validation errors? for (\w+)\n(\S+)\n\s+Extra inputs are not permitted")
_FAULT = re.compile(r"\n(?:(\S[^\n]*)\n)?  (?:Value error, )?(.+?) \[type=")
"""Of Pydantic's text: the place, which a rule over several fields lacks, and the fault."""
_FULL = os.strerror(errno.ENOSPC)
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
        full = isinstance(cause, OSError) and cause.errno == errno.ENOSPC
        if full or (isinstance(cause, duckdb.IOException) and _FULL in str(cause)):
            file = getattr(cause, "filename", None) or "a file"
            return (
                f"The disk is full (writing {file}). Free some space, or move the data to another disk with "
                "TOXIC_DATA_DIR, then run again."
            )
        if isinstance(cause, duckdb.OutOfMemoryException):
            return (
                "The comments can't be split within data.memory_megabytes and the free disk space. Raise the "
                f"parameter, or free space below TOXIC_DATA_DIR, then run again: {str(cause).splitlines()[0]}"
            )
    for cause in causes:
        if isinstance(cause, ToxicError):
            return _one_line(cause)
    return next(filter(None, (_explain_kedros(cause, causes[-1]) for cause in causes)), None)


def _explain_kedros(cause: BaseException, first: BaseException) -> str | None:
    """Return one line about an error that Kedro raised, by the first error that led to it."""
    match cause:
        case DatasetError() if reason := unreadable(first):
            path = _PATH.search(str(cause))
            return f"{path[1] if path else _one_line(cause)} {reason}"
        case DatasetError():
            return _one_line(cause)
        case ParameterValidationError():
            return _unknown_field(str(cause)) or _wrong_values(str(cause)) or _one_line(cause)
        case ValueError() if found := _NO_PIPELINE.search(str(cause)):
            names = ", ".join(sorted(str(name) for name in pipelines))
            return f"There is no pipeline {found[1]!r}. The pipelines are {names}."
    return None


def _unknown_field(message: str) -> str | None:
    """Return one line with the names that are valid beside an unknown parameter, if that is the error."""
    if (found := _EXTRA_FIELD.search(message)) is None:
        return None
    classes = [Parameters]
    for each in classes:
        classes += each.__subclasses__()
    fields = next((each.model_fields for each in classes if each.__name__ == found[1]), {})
    return f"There is no parameter {found[2]!r} in {found[1]}. Its parameters are {', '.join(fields)}."


def _wrong_values(message: str) -> str | None:
    """Return one line with the full name and the fault of each parameter that Pydantic refused."""
    told = []
    for entry in message.split("\n- Parameter ")[1:]:
        group = entry.partition(":")[0].strip("'")
        told += [
            f"{'.'.join(filter(None, (group, place)))}: {fault}" for place, fault in _FAULT.findall(entry)
        ]
    return "; ".join(told) or None


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
