"""The bytes of a table's file: what they are, and what is in a gzip or ZIP file.

Invariant: decompression is bounded before it is done: by a number of bytes that a caller sets, and for ZIP
files by the size of their directory.
"""

import gzip
import io
import struct
import zipfile
import zlib
from typing import BinaryIO, cast

from toxic_core.tables.rows import InvalidTableError

GZIP, ZIP, PARQUET, OLD_EXCEL = b"\x1f\x8b", b"PK\x03\x04", b"PAR1", b"\xd0\xcf\x11\xe0"

_READ_BYTES = 1024 * 1024
_END_RECORD = struct.Struct("<4s8xLLH")
"""ZIP's end of central directory: its signature, and the directory's size."""
_MAX_DIRECTORY_BYTES = 1024 * 1024
_NOT_MEMBERS = ("__MACOSX/", ".DS_Store")


class Unowned(io.RawIOBase):
    """A stream over another one, which it doesn't close, and of which it reads at most `max_bytes`."""

    def __init__(self, source: BinaryIO, *, max_bytes: int | None = None) -> None:
        self._source = source
        self._max_bytes = max_bytes

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read.

        Raises:
            InvalidTableError: the file is damaged, or too large.
        """
        try:
            part = self._source.read(len(buffer))
        except (zlib.error, EOFError, gzip.BadGzipFile, zipfile.BadZipFile) as error:
            raise InvalidTableError("The compressed file is damaged or incomplete; send it again.") from error
        if self._max_bytes is not None and self._source.tell() > self._max_bytes:
            raise too_large(self._max_bytes)
        buffer[: len(part)] = part
        return len(part)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position."""
        return self._source.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._source.tell()


def too_large(max_bytes: int) -> InvalidTableError:
    """Return the error for a file that is too large."""
    return InvalidTableError(f"The file is larger than {max_bytes:,} bytes after decompression; split it.")


def unpacked(stream: BinaryIO, *, max_bytes: int | None) -> tuple[BinaryIO, bool]:
    """Return the content of a gzip file, or of a ZIP file with one member, and True; else the file and False.

    Args:
        stream: the file, at its start; it must be able to seek.
        max_bytes: most bytes of the content; they are read once in advance. None for no limit.

    Raises:
        InvalidTableError: the file is damaged, its content too large, or it has several members.
    """
    start = stream.read(len(ZIP))
    stream.seek(0)
    if start.startswith(GZIP):
        inner = cast("BinaryIO", gzip.GzipFile(fileobj=stream, mode="rb"))
    elif start == ZIP:
        member = _only_member(stream)
        if member is None:
            return stream, False
        inner = member
    else:
        return _buffered(stream), False
    content = _buffered(inner, max_bytes=max_bytes)
    if max_bytes is not None:
        while content.read(_READ_BYTES):
            pass
        content.seek(0)
    return content, True


def open_zip(stream: BinaryIO) -> zipfile.ZipFile:
    """Open a ZIP file.

    Raises:
        InvalidTableError: it is damaged, or has too many members.
    """
    stream.seek(-min(stream.seek(0, io.SEEK_END), 0xFFFF + _END_RECORD.size), io.SEEK_END)
    tail = stream.read()
    end = tail[-_END_RECORD.size :]
    if not (end.startswith(b"PK\x05\x06") and end.endswith(b"\0\0")):  # as `zipfile` searches
        end = tail[max(tail.rfind(b"PK\x05\x06"), 0) :][: _END_RECORD.size]
    try:
        _, size, _, _ = _END_RECORD.unpack(end)
        if size > _MAX_DIRECTORY_BYTES:
            raise InvalidTableError("The ZIP file has too many members; send one table.")
        return zipfile.ZipFile(stream)
    except (struct.error, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise InvalidTableError("The ZIP file is damaged or incomplete; send it again.") from error


def _only_member(stream: BinaryIO) -> BinaryIO | None:
    """Return the only member of a ZIP file; None if it is a workbook."""
    archive = open_zip(stream)
    names = [name for name in archive.namelist() if not name.endswith("/")]
    if "xl/workbook.xml" in names:
        stream.seek(0)
        return None
    if "content.xml" in names:
        raise InvalidTableError("The file is an OpenDocument spreadsheet; save it as .xlsx or CSV.")
    members = [name for name in names if not (name.startswith(_NOT_MEMBERS) or name.endswith(_NOT_MEMBERS))]
    if len(members) != 1:
        raise InvalidTableError(f"The ZIP file has {len(members):,} files; send one with a single table.")
    try:
        return cast("BinaryIO", archive.open(members[0]))
    except (RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:
        raise InvalidTableError("The ZIP file is encrypted or damaged; send the table itself.") from error


def _buffered(source: BinaryIO, *, max_bytes: int | None = None) -> BinaryIO:
    return cast("BinaryIO", io.BufferedReader(Unowned(source, max_bytes=max_bytes), _READ_BYTES // 16))
