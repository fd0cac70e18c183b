"""A queue of lines between a client and the model, on disk if they exceed the memory limit.

Invariant: lines keep their order; the file is truncated whenever it was read to its end, so that it never
grows while a stream is scored as fast as it is received.
"""

import asyncio
from collections import deque
from tempfile import SpooledTemporaryFile
from typing import Self

from toxic_inference.threads import Threads

_MEMORY_BYTES = 1024 * 1024
_READ_BYTES = 64 * 1024


class LineSpool:
    """A queue of lines between one writer and one reader, both on one event loop.

    Args:
        threads: for its file.
        max_line_bytes: a longer line is returned as None.
    """

    def __init__(self, threads: Threads, *, max_line_bytes: int) -> None:
        self._threads = threads
        self._max_line_bytes = max_line_bytes
        self._file = SpooledTemporaryFile(max_size=_MEMORY_BYTES)  # noqa: SIM115  closed by __exit__
        self._read_at = 0
        self._written = 0
        self._lock = asyncio.Lock()
        self._changed = asyncio.Event()
        self._closed = False
        self._error: BaseException | None = None
        self._lines: deque[bytes | None] = deque()
        self._rest = b""
        self._skipping = False

    def __enter__(self) -> Self:
        """Return the spool."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()

    @property
    def size(self) -> int:
        """Bytes of the file in use."""
        return self._written

    async def write(self, part: bytes) -> None:
        """Append a part of the request."""

        def append() -> None:
            if self._read_at == self._written:
                self._file.seek(0)
                self._file.truncate()
                self._read_at = self._written = 0
            self._file.seek(self._written)
            self._written += self._file.write(part)

        async with self._lock:
            await self._threads.run(append)
        self._changed.set()

    def close(self) -> None:
        """End the stream."""
        self._closed = True
        self._changed.set()

    def fail(self, error: BaseException) -> None:
        """Make `wait` and `take` raise `error`: the client disconnected or sent too much."""
        self._error = error
        self._changed.set()

    async def wait(self) -> bool:
        """Wait until something was written that wasn't taken; return False at the end.

        Raises:
            BaseException: the error given to `fail`.
        """
        while True:
            if self._error is not None:
                raise self._error
            if self._lines or self._read_at < self._written:
                return True
            if self._closed:
                return bool(self._rest) or self._skipping
            self._changed.clear()
            await self._changed.wait()

    async def take(self, most: int) -> list[bytes | None]:
        """Return up to `most` of the lines that are complete; an empty list if none is.

        Raises:
            BaseException: the error given to `fail`.
        """

        def read() -> bytes:
            self._file.seek(self._read_at)
            part = self._file.read(_READ_BYTES)
            self._read_at += len(part)
            return part

        while self._error is None and not self._lines:
            if self._read_at < self._written:
                async with self._lock:
                    *lines, self._rest = (self._rest + await self._threads.run(read)).split(b"\n")
                for line in lines:
                    too_long = self._skipping or len(line) > self._max_line_bytes
                    self._skipping = False
                    self._lines.append(None if too_long else line)
                if len(self._rest) > self._max_line_bytes:
                    self._rest, self._skipping = b"", True
            else:
                # A last line without a line feed.
                if self._closed and (self._rest or self._skipping):
                    self._lines.append(None if self._skipping else self._rest)
                    self._rest, self._skipping = b"", False
                break
        if self._error is not None:
            raise self._error
        return [self._lines.popleft() for _ in range(min(most, len(self._lines)))]
