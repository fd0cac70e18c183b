"""Safe listing of an untrusted folder, and atomic replacement of files."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from toxic_core.errors import ContractError

PICKLES = frozenset({".pkl", ".pickle", ".joblib", ".dill", ".pt", ".pth"})
"""Suffixes of file formats that can execute code when they are loaded."""


def plain_files(folder: Path, *, max_bytes: int | None = None) -> dict[str, Path]:
    """Return every file below `folder` by its relative path, sorted, without opening any.

    Args:
        folder: the root.
        max_bytes: limit of their total size; None for no limit.

    Raises:
        ContractError: the folder has a link, which could lead out of it, a pipe, which could block a reader,
            or a pickle, which could execute code; or it exceeds the limit.
    """
    files: dict[str, Path] = {}
    size = 0
    for file in sorted(folder.rglob("*")):
        if file.is_symlink() or not (file.is_file() or file.is_dir()):
            raise ContractError(f"{file} is neither a file nor a folder; a bundle can't have links or pipes.")
        if file.is_dir():
            continue
        if file.suffix.lower() in PICKLES:
            raise ContractError(f"{file} may be a pickle, which can execute code; a bundle can't have one.")
        size += file.stat().st_size
        files[file.relative_to(folder).as_posix()] = file
    if max_bytes is not None and size > max_bytes:
        raise ContractError(f"{folder} has {size:,} bytes, more than the limit of {max_bytes:,}.")
    return files


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file atomically: yield a temporary path beside `path`, then sync it to disk and rename it.

    Creates the folder if it doesn't exist. The block creates the temporary file and closes it. If the block
    raises, the temporary file is removed and `path` keeps its old content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing_in_folder(path) as partial:
        yield partial


@contextmanager
def replacing_in_folder(path: Path) -> Iterator[Path]:
    """Write a file atomically as `replacing` does, but don't create the folder.

    Raises:
        FileNotFoundError: the folder doesn't exist; the block raises it when it creates the temporary file.
    """
    partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")
    try:
        yield partial
        _sync(partial)
        partial.replace(path)
        _sync(path.parent)
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, which ends with the process too.

    Raises:
        OSError: the folder doesn't exist, or another process holds its lock.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _sync(path: Path) -> None:
    """Force a file's content, or a folder's entries, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
