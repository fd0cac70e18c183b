"""Files on this machine or in an object store, by address.

Invariant: a written file appears whole or not at all. On a disk it is written under a temporary name and
renamed; an object store shows only complete objects.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self

import pyarrow as pa
from pyarrow import fs

from toxic_core.errors import ConfigurationError
from toxic_core.files import replacing


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder.

    Attributes:
        filesystem: pyarrow's; can be sent to another process.
        path: as that file system names it.
    """

    filesystem: fs.FileSystem
    path: str

    @classmethod
    def of(cls, address: str) -> Self:
        """Return the place of a path, or of an `s3://`, `gs://` or `file://` address.

        Object stores take the credentials of their own tools, such as `AWS_ACCESS_KEY_ID`.

        Raises:
            ConfigurationError: the address names an unknown file system.
        """
        if "://" not in address:
            return cls(fs.LocalFileSystem(), str(Path(address).absolute()))
        try:
            return cls(*fs.FileSystem.from_uri(address))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise ConfigurationError(
                f"{address} can't be reached: {error}. A path, s3://bucket/key and gs://bucket/key can."
            ) from error

    def child(self, name: str) -> "Place":
        """Return the place of a file in this folder."""
        return Place(self.filesystem, f"{self.path.rstrip('/')}/{name}")

    def is_in(self, folder: "Place") -> bool:
        """Return whether this is directly in a folder; on a disk also by another name of the folder."""
        if self.filesystem != folder.filesystem:
            return False
        if isinstance(self.filesystem, fs.LocalFileSystem):
            return Path(self.path).resolve().parent == Path(folder.path).resolve()
        return PurePosixPath(self.path).parent == PurePosixPath(folder.path)

    @property
    def info(self) -> fs.FileInfo:
        """The file's current facts."""
        return self.filesystem.get_file_info(self.path)

    def files(self, *, recursive: bool) -> list[fs.FileInfo]:
        """Return the files in this folder, by name; none if the folder is missing."""
        selector = fs.FileSelector(self.path, recursive=recursive, allow_not_found=True)
        found = [info for info in self.filesystem.get_file_info(selector) if info.type is fs.FileType.File]
        return sorted(found, key=lambda info: info.path)

    def read(self) -> bytes:
        """Return a file's content."""
        with self.filesystem.open_input_file(self.path) as stream:
            return bytes(stream.read())

    def write(self, content: bytes | pa.Buffer) -> None:
        """Write a file, making its folder."""
        if isinstance(self.filesystem, fs.LocalFileSystem):
            with replacing(Path(self.path)) as partial:
                partial.write_bytes(content)
        else:
            with self.filesystem.open_output_stream(self.path) as stream:
                stream.write(content)
