"""A file that is read again when it changes.

Invariant: a file that can't be read any more has no effect but a log entry.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from toxic_core.errors import ToxicError

_log = structlog.get_logger(__name__)

Content = TypeVar("Content")


class WatchedFile(Generic[Content]):
    """Returns a file's content. A look at the file's time is one system call.

    Args:
        path: the file.
        read: reads it; raises `ToxicError` if it can't be used, which the first reading passes on.
        name: begins the names of the log's events.
    """

    def __init__(self, path: Path, read: Callable[[Path], Content], *, name: str) -> None:
        self._path = path
        self._read = read
        self._name = name
        self._stamp = _stamp(path)
        self._content = read(path)

    def current(self) -> Content:
        """Return the content of the file as it was last readable."""
        if (stamp := _stamp(self._path)) != self._stamp:
            self._stamp = stamp
            try:
                self._content = self._read(self._path)
            except ToxicError as error:
                _log.warning(f"{self._name}.unreadable", error=str(error))
            else:
                _log.info(f"{self._name}.read", path=str(self._path))
        return self._content


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Return what differs between two states of a file; the change time can't be set by its writer."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
