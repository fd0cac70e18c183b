"""Safe reading of a foreign folder, and atomic replacement of files.

Invariant: `plain_files` opens no file and returns only if the folder holds nothing but files and folders, no
pickle, and no more bytes than the limit. A file written with `replacing` is there whole or not at all.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from toxic_core.errors import ContractError

PICKLES = frozenset({".pkl", ".pickle", ".joblib", ".dill", ".pt", ".pth"})
"""Endings of formats that can run code when they are read, by those who read them carelessly."""


def plain_files(folder: Path, *, max_bytes: int | None = None) -> dict[str, Path]:
    """Return every file below `folder`, sorted, by its path relative to it.

    Args:
        folder: where to look.
        max_bytes: most that all of them may hold; None for any.

    Raises:
        ContractError: a link, which could lead out of the folder; a pipe, which never ends; a pickle, which
            can run anything; or more than may be.
    """
    files: dict[str, Path] = {}
    size = 0
    for file in sorted(folder.rglob("*")):
        if file.is_symlink() or not (file.is_file() or file.is_dir()):
            raise ContractError(f"{file} is neither a file nor a folder; a bundle holds nothing else.")
        if file.is_dir():
            continue
        if file.suffix.lower() in PICKLES:
            raise ContractError(f"{file} is a pickle or may hold one; a bundle holds none.")
        size += file.stat().st_size
        files[file.relative_to(folder).as_posix()] = file
    if max_bytes is not None and size > max_bytes:
        raise ContractError(f"{folder} holds {size:,} bytes; no more than {max_bytes:,} are read.")
    return files


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file atomically: yield a temporary path beside `path`, then sync it to disk and rename it.

    The block creates the temporary file and closes it. If the block raises, the temporary file is removed and
    `path` keeps its old content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")
    try:
        yield partial
        _sync(partial)
        partial.replace(path)
        _sync(path.parent)
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()


def _sync(path: Path) -> None:
    """Force a file's content, or a folder's entries, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
